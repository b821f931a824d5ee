"""Fine-tuning by a provider through OpenAI's protocol: no job lost, none begun twice, no cap passed.

A job is known by its key, which stands in its metadata and in the name of its file.  Before one is begun
the provider's list is read, and its most is entered in the ledger; where the reply to the request that
began it did not arrive, the list is read again until the job is there or would be.  So it does not matter
where a process dies: the next one finds the job.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from assay.core import AssayError
from assay.llm._door import is_local, key_error
from assay.llm._faults import Fault, fault_of, pause
from assay.llm._ledger import Ledger, Use
from assay.llm._prices import Price, find_price
from assay.llm._together import TOGETHER, TogetherClient
from assay.llm._values import Advance, Budget, parse_budget

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.fine_tuning import FineTuningJob

T = TypeVar("T")

PREFIX, OTHERS, TINKER = "openai/", "openai-api/", "tinker/"
_OPEN_WEIGHTS = "openai/gpt-oss"
_KEY, _ATTEMPT = "assay", "assay_attempt"
_DEAD = ("failed", "cancelled")
_ATTEMPTS, _TRIES, _TURNED_AWAY_SECONDS = 2, 8, 900.0
_BESIDE = 1000
"""Attempts of the ledger from here on are jobs that were begun beside another of their key."""
_UNPAID = ("training_file", "validation_file", "model", "hyperparameters")
"""What a provider finds wrong before it trains: such a job costs nothing."""


@dataclass(frozen=True, slots=True)
class TuneConfig:
    """How a provider fine-tunes.

    ``epochs``, ``batch_size``, ``learning_rate_multiplier``, ``learning_rate`` (Together's; where None the
    provider's own) and ``revision``, which tells bases of one name apart, are part of every key; the rest is
    how it is executed.

    ``budget`` is a hard cap on training and answering over all runs of a study: each job counts at its most
    until the provider says what it trained on.  ``patience``: hours without news of a job after which it is
    cancelled; ``poll`` seconds between looks at it; ``listed`` seconds until a new job is surely on the
    provider's list.  Tinker's: ``save_every`` steps between checkpoints, and the ``tokenizer`` (a folder, or
    a Hugging Face id) where the base's own name does not find it.
    """

    epochs: int = 3
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    learning_rate: float | None = None
    revision: str = ""
    base_url: str | None = None
    budget: str | None = None
    prices: Path | None = None
    patience: float = 6.0
    poll: float = 20.0
    listed: float = 60.0
    timeout: float = 120.0
    connections: int | None = None
    save_every: int = 10
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        """Raise :class:`AssayError` for a value out of its range."""
        rates = ("learning_rate_multiplier", "learning_rate")
        for name in ("epochs", "batch_size", *rates, "patience", "poll", "timeout", "save_every"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise AssayError(
                    "must be positive", place=f"hosted.{name}", value=value, expected="more than 0"
                )

    def identity(self) -> dict[str, Any]:
        """Return what decides the tuned model."""
        names = ("epochs", "batch_size", "learning_rate_multiplier", "revision")
        rate = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        return {name: getattr(self, name) for name in names} | rate


@dataclass(frozen=True, slots=True)
class Tuned:
    """A model that a provider has fine-tuned; ``losses`` are (step, loss), ``batch_size`` the provider's."""

    model: str
    job: str
    attempt: int
    tokens: int | None
    money: float | None
    currency: str
    batch_size: int | None
    losses: tuple[tuple[int, float], ...]


def is_hosted(base: str) -> bool:
    """Return whether a base is its provider's to train: ``openai/gpt-…``, ``together/…``, ``tinker/…``."""
    own = base.startswith((f"{PREFIX}gpt-", f"{PREFIX}ft:")) and not base.startswith(_OPEN_WEIGHTS)
    return own or base.startswith((OTHERS, TOGETHER, TINKER))


def is_tinker(base: str) -> bool:
    """Return whether a base is trained at Tinker: there, but batch by batch, by Assay's own recipe."""
    return base.startswith(TINKER)


def training_price(base: str, config: TuneConfig) -> Price | None:
    """Return what training ``base`` and asking the tuned model costs; None where it is not known."""
    found = find_price(tuned_name(base), config.prices, local=is_local(base, config.base_url))
    return None if found is None or found.train is None else found


def tuned_name(base: str) -> str:
    """Return the name that prices of models tuned from ``base`` stand under: ``openai/ft:BASE``.

    Tinker asks the same for its bases and what is made of them.
    """
    place, _, name = base.rpartition("/")
    return base if name.startswith("ft:") or is_tinker(base) else f"{place}/ft:{name}"


def check_tuning(base: str, config: TuneConfig) -> None:
    """Raise :class:`AssayError` where the budget cannot be read, or not be kept for want of a price."""
    _check_rate(base, config)
    _check(
        base, Budget() if config.budget is None else parse_budget(config.budget), training_price(base, config)
    )


def training_most(base: str, config: TuneConfig, n_bytes: int) -> tuple[int, float | None]:
    """Return the most tokens and money that training on a file of ``n_bytes`` takes.

    A tokenizer that falls back on bytes makes no more tokens than there are bytes; the marks between turns
    are fewer than the bytes of the JSON around them.
    """
    price, tokens = training_price(base, config), n_bytes * config.epochs
    return tokens, None if price is None or price.train is None else tokens * price.train / 1e6


class Provider(ABC):
    """What all ways of training one base at its provider share: key, price, ledger and errors.

    ``run`` is the name under which it all is counted.
    """

    _after: ClassVar[str]
    """What to do where it did not answer."""

    def __init__(self, base: str, config: TuneConfig, *, calls: Path, run: str) -> None:
        """Open it; raise :class:`AssayError` for a missing key, or a cap in money where no price is known."""
        self._base, self._config = base, config
        self._name = base.split("/", 2 if base.startswith(OTHERS) else 1)[-1]
        check_tuning(base, config)
        self._variable, self._secret = _secret(base, config.base_url)
        budget = Budget() if config.budget is None else parse_budget(config.budget)
        self._price = training_price(base, config)
        self._open()
        self._ledger = Ledger(calls, run, budget)

    @abstractmethod
    def _open(self) -> None:
        """Open the provider's SDK."""

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def _money(self, tokens: int) -> float | None:
        return None if self._price is None or self._price.train is None else tokens * self._price.train / 1e6

    def _error(self, fault: Fault) -> AssayError:
        if fault.kind == "key":
            return key_error(self._base, (self._variable,), fault.problem)
        said = "refused" if fault.kind == "refused" else "did not answer"
        hint = None if fault.kind == "refused" else self._after
        return AssayError(
            f"the provider {said}: {fault.problem}", place="hosted", value=self._base, hint=hint
        )

    def _full(self, tokens: int, money: float | None) -> AssayError:
        price = self._price
        most = f"{tokens:,} tokens" + (
            "" if money is None or price is None else f", {money:.2f} {price.currency}"
        )
        spent = self._ledger.total()
        return AssayError(
            "the budget has no room for this job", place="hosted.budget", value=self._config.budget,
            expected=f"{most}, beside {spent.tokens:,} tokens and {spent.money:.2f} spent or reserved",
            hint="raise hosted.budget, or wait until jobs under way have ended: they count at their most",
        )  # fmt: skip


class Tuner(Provider):
    """A provider that fine-tunes by jobs."""

    _after: ClassVar[str] = "jobs go on at the provider: the same command finds them"

    def _open(self) -> None:
        self._client = _client(self._base, self._secret, self._config)

    def close(self) -> None:
        """Close connections and ledger; jobs go on at the provider."""
        self._client.close()
        super().close()

    def tune(self, key: str, file: Path, *, seed: int, advance: Advance = lambda a, b, c: None) -> Tuned:
        """Return the model that comes of ``file``, of a job that is under way already or a new one.

        A job that fails at the provider is begun once more.  Raises :class:`AssayError` where that fails
        too, where a job gives no news, where the budget has no room, and where the provider cannot be
        reached: then the job goes on, and the same call finds it.
        """
        failed: FineTuningJob | None = None
        for _ in range(_ATTEMPTS):
            job = self._watched(self._found(key) or self._begun(key, file, seed, failed), advance)
            self._settled(key, job, _attempt(job))
            if job.status == "succeeded":
                return self._tuned(key, job)
            failed = job
            if not _again(job):
                break
        raise self._failed(failed)

    def _found(self, key: str) -> FineTuningJob | None:
        """Return the job of a key that has a model or may yet; what was begun beside it is cancelled."""
        alive = [job for job in self._listed(key) if job.status not in _DEAD]
        if not alive:
            return None
        first = next((job for job in alive if job.status == "succeeded"), alive[0])
        for number, other in enumerate((job for job in alive if job.id != first.id), 1):
            ended = other if other.status == "succeeded" else self._cancelled(other.id)
            self._settled(key, ended, _attempt(ended) + number * _BESIDE)
        return first

    def _listed(self, key: str) -> list[FineTuningJob]:
        """Return all jobs of a key, oldest first; a provider may not hear the filter."""
        found: list[FineTuningJob] = []
        after: dict[str, Any] = {}
        while True:
            given = {"limit": 100, "metadata": {_KEY: key}, **after}
            page = self._asked(partial(self._client.fine_tuning.jobs.list, **given))
            found += [job for job in page.data if (job.metadata or {}).get(_KEY) == key]
            if not (page.has_more and page.data):
                return sorted(found, key=lambda job: (job.created_at, job.id))
            after = {"after": page.data[-1].id}

    def _begun(self, key: str, file: Path, seed: int, failed: FineTuningJob | None) -> FineTuningJob:
        """Begin a job, at most one: a request whose reply is lost is looked for before it is sent again."""
        dead = [*self._listed(key), *([] if failed is None else [failed])]
        for job in dead:
            self._settled(key, job, _attempt(job))
        attempt = 1 + max(map(_attempt, dead), default=0)
        tokens, money = training_most(self._base, self._config, file.stat().st_size)
        entered = self._ledger.take_job(key, attempt, Use(tokens, money or 0.0)).result()
        if entered == "never":
            raise self._full(tokens, money)
        known = self._appeared(key, attempt) if entered == "known" else None
        return known or self._posted(key, attempt, self._uploaded(key, file), seed)

    def _posted(self, key: str, attempt: int, file: str, seed: int) -> FineTuningJob:
        """Send the request until a job is there; the list is read after each that brought none."""
        for tries in range(1, _TRIES + 1):
            said = self._once(lambda: self._create(key, attempt, file, seed))
            if not isinstance(said, Fault):
                return said
            if said.kind in ("refused", "key"):
                self._ledger.free_job(key, attempt).result()
                raise self._error(said)
            time.sleep(pause(said, tries))
            if (job := self._appeared(key, attempt, unsure=said.kind != "limited")) is not None:
                return job
        raise self._error(Fault("transient", f"no job after {_TRIES} requests"))

    def _create(self, key: str, attempt: int, file: str, seed: int) -> FineTuningJob:
        config = self._config
        numbers: dict[str, float | None]
        numbers = {"n_epochs": config.epochs, "batch_size": config.batch_size}
        numbers |= {"learning_rate_multiplier": config.learning_rate_multiplier}
        numbers |= {"learning_rate": config.learning_rate}
        given: Any = {name: value for name, value in numbers.items() if value is not None}
        job = self._client.fine_tuning.jobs.create(
            model=self._name, training_file=file, seed=seed, suffix=f"assay-{key[:12]}",
            method={"type": "supervised", "supervised": {"hyperparameters": given}},
            metadata={_KEY: key, _ATTEMPT: str(attempt)},
            extra_headers={"Idempotency-Key": f"assay-{key}-{attempt}"},
        )  # fmt: skip
        return _whole(job)

    def _appeared(self, key: str, attempt: int, *, unsure: bool = True) -> FineTuningJob | None:
        """Return the job of an attempt that may have begun, once it is listed; None where it is not."""
        until = time.monotonic() + (self._config.listed if unsure else 0.0)
        while True:
            # The last look begins after the time: an answer that was slow to come may be older than that.
            last = time.monotonic() >= until
            found = [job for job in self._listed(key) if _attempt(job) == attempt]
            if found or last:
                return found[0] if found else None
            time.sleep(min(self._config.poll, self._config.listed / 10))

    def _uploaded(self, key: str, file: Path) -> str:
        """Return the number of the file at the provider, which may have it already."""
        name, size = f"assay-{key}.jsonl", file.stat().st_size

        def kept() -> str | None:
            pages = self._client.files.list(purpose="fine-tune", limit=1000)
            return next((f.id for f in pages if f.filename == name and f.bytes == size), None)

        def sent() -> str:
            if (found := kept()) is not None:
                return found
            with file.open("rb") as handle:
                return str(_whole(self._client.files.create(file=(name, handle), purpose="fine-tune")).id)

        return self._asked(sent)

    def _watched(self, job: FineTuningJob, advance: Advance) -> FineTuningJob:
        """Return a job as it ended; one without news for too long is cancelled."""
        seen, since = "", time.monotonic()
        while job.status not in ("succeeded", *_DEAD):
            time.sleep(self._config.poll)
            job = self._retrieved(job.id)
            events = self._events(job.id, limit=20)
            step = max((step for step, _ in _losses(events)), default=0)
            advance(step, _total(events), "step")
            if (news := f"{job.status} {events[0].id if events else ''} {job.trained_tokens}") != seen:
                seen, since = news, time.monotonic()
            elif time.monotonic() - since > self._config.patience * 3600:
                return self._given_up(job)
        return job

    def _retrieved(self, job: str) -> FineTuningJob:
        return self._asked(lambda: _whole(self._client.fine_tuning.jobs.retrieve(job)))

    def _given_up(self, job: FineTuningJob) -> FineTuningJob:
        """Cancel a job without news, and return it where it ended well after all."""
        ended = self._cancelled(job.id)
        if ended.status == "succeeded":
            return ended
        self._settled(str((job.metadata or {})[_KEY]), ended, _attempt(ended))
        raise AssayError(
            f"the job gave no news for {self._config.patience:g} hours and was cancelled", place="hosted",
            value=f"{job.id}, {job.status}", expected="an end, or an event",
            hint="the same command begins it anew; hosted.patience gives it longer",
        )  # fmt: skip

    def _cancelled(self, job: str) -> FineTuningJob:
        """Cancel a job, which may have ended meanwhile."""

        def cancel() -> FineTuningJob:
            now = _whole(self._client.fine_tuning.jobs.retrieve(job))
            return (
                now
                if now.status in ("succeeded", *_DEAD)
                else _whole(self._client.fine_tuning.jobs.cancel(job))
            )

        return self._asked(cancel)

    def _events(self, job: str, limit: int = 100) -> list[Any]:
        """Return the latest events of a job, newest first."""
        return self._asked(lambda: list(self._client.fine_tuning.jobs.list_events(job, limit=limit).data))

    def _settled(self, key: str, job: FineTuningJob, attempt: int) -> None:
        """Put down what a job cost: what it says it trained on, nothing if it was refused, else its most."""
        if job.trained_tokens is not None:
            use = Use(job.trained_tokens, self._money(job.trained_tokens) or 0.0)
            self._ledger.settle_job(key, attempt, use).result()
        elif _unpaid(job):
            self._ledger.settle_job(key, attempt, Use(0, 0.0)).result()
        else:
            self._ledger.settle_job(key, attempt, None).result()

    def _tuned(self, key: str, job: FineTuningJob) -> Tuned:
        if not job.fine_tuned_model:
            raise AssayError("the job succeeded and names no model", place="hosted", value=job.id,
                             expected="fine_tuned_model")  # fmt: skip
        prefix = "/".join(self._base.split("/")[: 2 if self._base.startswith(OTHERS) else 1])
        size = getattr(_hyperparameters(job), "batch_size", None)
        return Tuned(
            f"{prefix}/{job.fine_tuned_model}", job.id, _attempt(job), job.trained_tokens,
            None if job.trained_tokens is None else self._money(job.trained_tokens),
            "USD" if self._price is None else self._price.currency, size if isinstance(size, int) else None,
            tuple(sorted(_losses(self._events(job.id)))),
        )  # fmt: skip

    def _asked(self, call: Callable[[], T]) -> T:
        """Return what a call that costs nothing brings, asked again while the server may yet answer."""
        failures, until = 0, time.monotonic() + _TURNED_AWAY_SECONDS
        while True:
            said = self._once(call)
            if not isinstance(said, Fault):
                return said
            failures += said.kind != "limited"
            if said.kind in ("refused", "key") or failures >= _TRIES or time.monotonic() > until:
                raise self._error(said)
            time.sleep(pause(said, failures + (said.kind == "limited")))

    def _once(self, call: Callable[[], T]) -> T | Fault:
        try:
            return call()
        except AssayError:
            raise
        except Exception as error:
            return fault_of(error, self._secret)

    def _failed(self, job: FineTuningJob | None) -> AssayError:
        said = "" if job is None or job.error is None else str(job.error.message or job.error.code or "")
        said = said.replace(self._secret, "…") if self._secret else said
        ended = job.status if job else "failed"
        return AssayError(
            f"fine-tuning {ended}: {said or 'the provider gives no reason'}", place="hosted",
            value=job and job.id, hint="fix the cause; the same command begins a new job",
        )  # fmt: skip


def _secret(base: str, base_url: str | None) -> tuple[str, str]:
    """Return the variable of a provider's key, and the key; raise where there is none."""
    service = base.split("/")[1 if base.startswith(OTHERS) else 0]
    variable = f"{service.upper().replace('-', '_')}_API_KEY"
    none = "tml-none" if is_tinker(base) else "none"
    found = os.environ.get(variable) or (none if is_local(base, base_url) else "")
    if not found:
        raise key_error(base, (variable,), "the provider's key is not in the environment")
    return variable, found


def _check(base: str, budget: Budget, price: Price | None) -> None:
    if budget.money is None:
        return
    if price is None:
        raise AssayError(
            "a budget in money cannot be kept: what training this model costs is not known",
            place="hosted.budget", value=base, expected="a price list that has it",
            hint='hosted.prices: a TOML file with [[price]] model = "openai/ft:…", input, output and train',
        )  # fmt: skip
    if price.currency != budget.currency and (price.train or price.input):
        raise AssayError(f"the price of {base} is in {price.currency}", place="hosted.budget",
                         value=budget.currency, expected=price.currency)  # fmt: skip


def _check_rate(base: str, config: TuneConfig) -> None:
    """Raise where the rate is given in the other provider's way."""
    wrong, right = "learning_rate", "learning_rate_multiplier"
    if base.startswith(TOGETHER):
        wrong, right = right, wrong
    if (value := getattr(config, wrong)) is not None:
        raise AssayError(
            "the provider takes no such setting", place=f"hosted.{wrong}", value=value,
            expected=f"hosted.{right}",
        )  # fmt: skip


def _client(base: str, secret: str, config: TuneConfig) -> OpenAI | TogetherClient:
    if find_spec("openai") is None:
        raise AssayError("openai is not installed", place="base", hint='pip install "instruct-assay[llm]"')
    from openai import OpenAI

    if base.startswith(TOGETHER):
        return TogetherClient(secret, config.base_url, config.timeout)
    return OpenAI(api_key=secret, base_url=config.base_url, max_retries=0, timeout=config.timeout)


def _whole(made: T) -> T:
    """Return what a server sent where it is an object with a number; half a body raises."""
    if not isinstance(getattr(made, "id", None), str):
        raise ValueError("the reply is cut")
    return made


def _attempt(job: FineTuningJob) -> int:
    return int((job.metadata or {}).get(_ATTEMPT, 1))


def _hyperparameters(job: FineTuningJob) -> Any:
    method = getattr(job.method, "supervised", None)
    return getattr(method, "hyperparameters", None) or job.hyperparameters


def _unpaid(job: FineTuningJob) -> bool:
    return job.status == "failed" and job.error is not None and job.error.param in _UNPAID


def _again(job: FineTuningJob) -> bool:
    """Return whether a new job may fare better: the provider failed, not the data or a person."""
    return job.status == "failed" and not _unpaid(job)


def _losses(events: Iterable[Any]) -> Iterator[tuple[int, float]]:
    """Yield (step, loss) of the events that tell one."""
    for event in events:
        told = event.data if isinstance(event.data, dict) else {}
        if isinstance(told.get("step"), int) and isinstance(told.get("train_loss"), int | float):
            yield told["step"], float(told["train_loss"])


def _total(events: Sequence[Any]) -> int:
    steps = (event.data.get("total_steps") for event in events if isinstance(event.data, dict))
    return max((step for step in steps if isinstance(step, int)), default=0)
