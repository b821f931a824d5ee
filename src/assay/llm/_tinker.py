"""Tinker's SDK: a run trained batch by batch in Assay's own order, and the model that comes of it asked.

A model in training lives as long as its session, and that as long as its process.  So a run is saved every
few steps under its key, and whoever comes next goes on after the latest checkpoint on the provider's list.
Each batch is entered in the ledger before it is sent.  Within a session the SDK sends a request whose reply
was lost again under the number it had, by which the provider knows that its work is done.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from assay.core import DIVERGED, AssayError, digest
from assay.llm._faults import Fault, fault_of, pause
from assay.llm._ledger import Use
from assay.llm._tune import Provider, Tuned
from assay.llm._values import Advance, Reply

T = TypeVar("T")
Row = tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]

_KEY, _STEP, _PAGE = "assay", "assay_step", 100
_TRIES, _WAIT_SECONDS, _CLOSING_SECONDS, _CONNECTIONS = 3, 0.2, 10.0, 32
_KEPT_SECONDS = 7 * 24 * 3600
"""How long checkpoints that only serve to go on from are kept."""
_GONE = (404, 409, 410)
"""What a session that has ended answers, or one that knows nothing of a request."""


@dataclass(frozen=True, slots=True)
class Course:
    """A run as steps.

    ``tokens`` that each step reads; ``batch`` gives a step's samples (ids [n] and which of them are learned
    [n], one at least after the first) and its learning rate.  ``lora``: rank and seed; ``adam``: the settings
    of every step, by the SDK's names.
    """

    tokens: Sequence[int]
    batch: Callable[[int], tuple[Sequence[Row], float]]
    lora: Mapping[str, Any]
    adam: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """Ids to read, and what is wanted: up to ``written`` tokens after them, or the last log-probabilities.

    ``scored``: of how many of the last ids; then nothing is written.
    """

    ids: tuple[int, ...]
    written: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stops: tuple[int, ...] = ()
    scored: int = 0


class Tinker(Provider):
    """Tinker's way of training one base, and of asking what comes of it."""

    _after: ClassVar[str] = "the same command goes on after the last checkpoint"

    def _open(self) -> None:
        if find_spec("tinker") is None:
            raise AssayError("Tinker's SDK is not installed", place="base", hint="pip install tinker")
        os.environ.setdefault("TINKER_TELEMETRY", "0")
        logging.getLogger("tinker").setLevel(logging.ERROR)
        self._at = {"base_url": self._config.base_url, "api_key": self._secret}
        self._paths: dict[tuple[str, int], str] = {}
        self._progress, self._uses = 0, list[Use]()

    @property
    def spent(self) -> Use:
        """What new replies took, those at their most that did not come."""
        return Use(sum(one.tokens for one in self._uses), sum(one.money for one in self._uses))

    def train(self, key: str, course: Course, *, journal: Path, advance: Advance) -> Tuned:
        """Return the model that comes of a course; what is saved under ``key`` is gone on from.

        ``journal`` keeps the losses of the steps over interruptions.  Raises :class:`AssayError` where the
        loss is no number, where the budget has no room for the rest, and where the provider cannot be
        reached or gives no news: then the same call goes on after the last checkpoint.
        """
        try:
            return self._steadily(lambda service: self._trained(service, key, course, journal, advance))
        finally:
            self._ledger.keep_rest(key, Use(0, 0.0)).result()

    def ask(self, path: str | None, asked: Sequence[Asked], advance: Advance) -> list[Reply]:
        """Return a reply for each question to the model at ``path``, or to the base.

        Its text is JSON: the ids written, or the log-probabilities.  Replies are kept; none is paid twice.
        Raises :class:`AssayError` as :meth:`train` does.
        """
        return self._steadily(lambda service: self._answered(service, path, asked, advance))

    def _steadily(self, work: Callable[[Any], T]) -> T:
        """Return what work brings in a session; in a new one where that was lost, if it gets on at all."""
        failures = 0
        while True:
            before = self._progress
            try:
                with self._session() as service:
                    return work(service)
            except AssayError:
                raise
            except Exception as error:
                said = self._fault(error)
            failures = 1 if self._progress > before else failures + 1
            if said.kind in ("refused", "key") or failures > _TRIES:
                raise self._error(said)
            time.sleep(pause(said, failures))

    def _fault(self, error: Exception) -> Fault:
        if isinstance(error, TimeoutError):
            return Fault("transient", f"no news for {self._config.patience:g} hours", paid=True)
        if getattr(error, "category", None) == "user":
            return Fault("refused", str(error)[:300])
        said = fault_of(error, self._secret)
        causes = (error, error.__cause__, error.__context__)
        if any(getattr(one, "status_code", None) in _GONE for one in causes):
            return Fault("transient", said.problem, paid=True)
        return said

    @contextmanager
    def _session(self) -> Iterator[Any]:
        import tinker

        service, ended = tinker.ServiceClient(**self._at), "errored"
        try:
            yield service
            ended = "success"
        finally:
            with suppress(Exception):
                service.close(ended).result(_CLOSING_SECONDS)

    def _news(self, future: Any) -> Any:
        return future.result(self._config.patience * 3600)

    def _trained(self, service: Any, key: str, course: Course, journal: Path, advance: Advance) -> Tuned:
        saved, path = self._saved(key)
        steps = len(course.tokens)
        if path is None:
            first = max(saved, default=0)
            rest = self._use(sum(course.tokens[first:]))
            if not self._ledger.keep_rest(key, rest).result():
                raise self._full(rest.tokens, rest.money)
            model = self._model(service, key, course, saved.get(first))
            for step in range(first, steps):
                self._step(model, key, course, step, journal)
                advance(step + 1, steps, "step")
                if (step + 1) % self._config.save_every == 0 and step + 1 < steps:
                    self._save(model, key, step + 1)
            told = {_KEY: key, _STEP: str(steps)}
            path = str(self._news(model.save_weights_for_sampler(_name(key, steps), user_metadata=told)).path)
        sent = self._ledger.send_part(key, Use(0, 0.0)).result()
        money = None if self._price is None else sent.money
        currency = "USD" if self._price is None else self._price.currency
        return Tuned(path, path.split("/")[2], 1, sent.tokens, money, currency, None, _losses(journal))

    def _saved(self, key: str) -> tuple[dict[int, str], str | None]:
        """Return the checkpoints of a run by their step, and the model where the run has ended."""
        import tinker

        rest, offset, path = tinker.RestClient(**self._at), 0, None
        found = {step: place for (name, step), place in self._paths.items() if name == key}
        while True:
            page = self._news(rest.list_user_checkpoints(limit=_PAGE, offset=offset))
            for one in page.checkpoints:
                told = one.user_metadata or {}
                if told.get(_KEY) == key and one.checkpoint_type == "sampler":
                    path = one.tinker_path
                elif told.get(_KEY) == key:
                    found[int(told[_STEP])] = one.tinker_path
            offset += len(page.checkpoints)
            if not page.checkpoints or page.cursor is None or offset >= page.cursor.total_count:
                return found, path

    def _model(self, service: Any, key: str, course: Course, path: str | None) -> Any:
        told = {_KEY: key}
        if path is not None:
            return self._news(
                service.create_training_client_from_state_with_optimizer(path, user_metadata=told)
            )
        # The head stays as it is, as in Assay's own adapters.
        return self._news(
            service.create_lora_training_client(
                self._name, **course.lora, train_unembed=False, user_metadata=told
            )
        )

    def _step(self, model: Any, key: str, course: Course, step: int, journal: Path) -> None:
        """Take an optimizer step on the mean loss per trained token of the batch."""
        from tinker import AdamParams

        rows, rate = course.batch(step)
        if not rows:
            return
        data = _data(rows)
        self._ledger.send_part(key, self._use(course.tokens[step])).result()
        gradient = model.forward_backward(data, "cross_entropy")
        moved = model.optim_step(AdamParams(learning_rate=rate, **course.adam))
        loss = -sum(
            float(out["logprobs"].to_numpy() @ datum.loss_fn_inputs["weights"].to_numpy())
            for out, datum in zip(self._news(gradient).loss_fn_outputs, data, strict=True)
        )
        if not math.isfinite(loss):
            raise AssayError(DIVERGED, place=f"step {step}", expected="a finite loss",
                             hint="lower recipe.learning_rate or recipe.clip_norm")  # fmt: skip
        self._news(moved)
        with journal.open("a", encoding="utf-8") as out:
            # A line that a kill cut short does not spoil the next one.
            out.write("\n" + json.dumps([step, loss]))

    def _save(self, model: Any, key: str, step: int) -> None:
        told = {_KEY: key, _STEP: str(step)}
        made = model.save_state(_name(key, step), ttl_seconds=_KEPT_SECONDS, user_metadata=told)
        self._paths[key, step] = str(self._news(made).path)
        self._progress += 1

    def _answered(
        self, service: Any, path: str | None, asked: Sequence[Asked], advance: Advance
    ) -> list[Reply]:
        where = {"base_model": self._name} if path is None else {"model_path": path}
        sampler = self._news(service.create_sampling_client(**where))
        found: list[Reply] = []
        with ThreadPoolExecutor(self._config.connections or _CONNECTIONS) as pool:
            for reply in pool.map(partial(self._reply, sampler, path or self._name), asked):
                found.append(reply)
                advance(len(found), len(asked), "item")
        return found

    def _reply(self, sampler: Any, model: str, asked: Asked) -> Reply:
        """Return the reply to a question: the one that is kept, or a new one, which is paid and kept."""
        key = digest(["tinker", 1, model, self._config.revision, asked])
        most = self._use(len(asked.ids), asked.written)
        while not isinstance(taken := self._ledger.take(key, 0, most).result(), int):
            if taken == "never":
                raise self._full(most.tokens, most.money)
            if kept := self._ledger.replies(key):
                return kept[0]
            time.sleep(_WAIT_SECONDS)
        use, reply, began = most, None, time.monotonic()
        try:
            text, ended, written = _said(self._news(_sample(sampler, asked)), asked)
            use = self._use(len(asked.ids), written)
            money = None if self._price is None else use.money
            took = time.monotonic() - began
            reply = Reply(key, text, ended, len(asked.ids), written, money, took, model)
        finally:
            # What was asked and not answered may have been paid.
            self._ledger.settle(taken, use, reply).result()
            self._uses.append(use)
        self._progress += 1
        return reply

    def _use(self, read: int, written: int | None = None) -> Use:
        """Return tokens and money of training on ``read`` tokens, or of reading them and writing some."""
        if written is None:
            return Use(read, self._money(read) or 0.0)
        return Use(read + written, 0.0 if self._price is None else self._price.of(read, written))


def _name(key: str, step: int) -> str:
    return f"assay-{key[:16]}-{step:06}"


def _data(rows: Sequence[Row]) -> list[Any]:
    """Return samples as the SDK takes them: each id is to foretell the next, learned ones count alike."""
    from tinker import Datum, ModelInput

    share = np.float32(1.0 / sum(int(learned[1:].sum()) for _, learned in rows))
    return [
        Datum(
            model_input=ModelInput.from_ints(ids[:-1].tolist()),
            loss_fn_inputs={"target_tokens": ids[1:], "weights": learned[1:].astype(np.float32) * share},
        )
        for ids, learned in rows
    ]


def _sample(sampler: Any, asked: Asked) -> Any:
    from tinker import ModelInput, SamplingParams

    params = SamplingParams(
        max_tokens=asked.written, temperature=asked.temperature, top_p=asked.top_p, seed=asked.seed,
        stop=list(asked.stops) or None,
    )  # fmt: skip
    wanted = {"include_prompt_logprobs": True, "prompt_logprobs_last_n": asked.scored} if asked.scored else {}
    return sampler.sample(ModelInput.from_ints(list(asked.ids)), 1, params, **wanted)


def _said(reply: Any, asked: Asked) -> tuple[str, Any, int]:
    """Return a reply's text, how it ended, and how many tokens were written."""
    (written,) = reply.sequences
    if asked.scored:
        return json.dumps(reply.prompt_logprobs[-asked.scored :]), "stop", len(written.tokens)
    return json.dumps(list(written.tokens)), written.stop_reason, len(written.tokens)


def _losses(journal: Path) -> tuple[tuple[int, float], ...]:
    """Return (step, loss) of the steps that were taken; of one that was taken again the last."""
    if not journal.is_file():
        return ()
    lines = [line for line in journal.read_text("utf-8").splitlines() if line.endswith("]")]
    return tuple(sorted({int(step): float(loss) for step, loss in map(json.loads, lines)}.items()))
