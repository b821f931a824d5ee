"""Fine-tuning at a provider that fails: nothing lost, nothing begun twice, no cap passed, no key told."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tune_server import Provider, persistently, rows, tuning

from assay.core import AssayError
from assay.llm import TuneConfig, Tuned, Tuner, find_price, is_hosted, training_most, training_price
from assay.llm import _faults as faults

BASE = "openai-api/scripted/gpt-x"
EVERY = dict.fromkeys(("limited", "error", "lost", "cut", "reset"), 0.07)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_BACKOFF_SECONDS", 0.01)


def config(provider: Provider, **changes: Any) -> TuneConfig:
    return replace(TuneConfig(base_url=provider.url, poll=0.005, listed=0.15), **changes)


def tune(provider: Provider, folder: Path, word: str, key: str = "", **changes: Any) -> Tuned:
    with Tuner(BASE, config(provider, **changes), calls=folder / "calls", run="study") as tuner:
        return tuner.tune(key or word.encode().hex().ljust(64, "0"), rows(folder, word), seed=1)


def entered(folder: Path) -> tuple[int, int]:
    """Return the tokens that all jobs count at, and how many jobs there are."""
    with sqlite3.connect(folder / "calls" / "calls.sqlite") as db:
        found = db.execute("SELECT coalesce(sum(tokens), 0), count(*) FROM job").fetchone()
    return int(found[0]), int(found[1])


@pytest.mark.parametrize("seed", range(2))
def test_no_fault_loses_a_job_or_pays_for_two(tmp_path: Path, seed: int) -> None:
    words = [f"job {number}" for number in range(8)]
    with tuning(faults=EVERY, seed=seed, lag=0.05) as provider:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda w: persistently(lambda: tune(provider, tmp_path, w)), words))
        assert sum(provider.met.values()) > 20 and set(provider.met) == set(EVERY)
        assert len({one.model for one in found}) == len(words)
        assert set(provider.trained().values()) == {1} and len(provider.jobs) == len(words)
        assert entered(tmp_path) == (provider.billed(), len(words))


class Killed(BaseException):
    """The process ends here, whatever it was about to do."""


@pytest.mark.parametrize("lag", [0.0, 0.08])
def test_a_crash_between_request_and_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag: float
) -> None:
    create = Tuner._create

    def killed(self: Tuner, *given: Any) -> Any:
        create(self, *given)
        raise Killed

    with tuning(lag=lag) as provider:
        with monkeypatch.context() as patched:
            patched.setattr(Tuner, "_create", killed)
            with pytest.raises(Killed):
                tune(provider, tmp_path, "crash")
        most = entered(tmp_path)[0]
        found = tune(provider, tmp_path, "crash")
        assert len(provider.jobs) == 1 and found.attempt == 1
        assert entered(tmp_path) == (provider.billed(), 1) and provider.billed() <= most


def test_a_job_begun_elsewhere_is_taken_and_one_beside_it_cancelled(tmp_path: Path) -> None:
    with tuning() as provider:
        first = tune(provider, tmp_path, "twice")
        (job,) = provider.jobs.values()
        provider.create({**job, "model": "gpt-x"})
        other = tmp_path / "other"
        other.mkdir()
        assert tune(provider, other, "twice").model == first.model
        assert [job["status"] for job in provider.jobs.values()] == ["succeeded", "cancelled"]
        assert entered(other) == (provider.billed(), 2)


def test_what_a_failed_job_costs(tmp_path: Path) -> None:
    """A provider's failure is tried again, both counted; a refused file costs nothing and is not."""
    with tuning(outcomes={"first": "once fails", "always": "fails", "bad": "invalid"}) as provider:
        assert tune(provider, tmp_path, "first").attempt == 2
        assert entered(tmp_path)[0] == provider.billed()
        with pytest.raises(AssayError, match="fine-tuning failed: line 1"):
            tune(provider, tmp_path, "bad")
        assert entered(tmp_path) == (provider.billed(), 3)
        with pytest.raises(AssayError, match="fine-tuning failed: broke"):
            tune(provider, tmp_path, "always")
        assert len(provider.jobs) == 5 and entered(tmp_path)[0] == provider.billed()


def test_a_job_that_hangs_is_cancelled_and_begun_anew(tmp_path: Path) -> None:
    with tuning(outcomes={"slow": "once hangs"}) as provider:
        with pytest.raises(AssayError, match="gave no news"):
            tune(provider, tmp_path, "slow", patience=0.05 / 3600)
        assert [job["status"] for job in provider.jobs.values()] == ["cancelled"]
        assert tune(provider, tmp_path, "slow").attempt == 2
        assert entered(tmp_path) == (provider.billed(), 2)


def test_the_cap_is_never_passed(tmp_path: Path) -> None:
    """A job begins only where its most fits beside what all others cost, or may."""
    most = training_most(BASE, TuneConfig(), rows(tmp_path, "cap 0").stat().st_size)[0]
    cap = 2 * most
    done, refused = 0, 0
    with tuning(faults={"lost": 0.1, "cut": 0.1}, seed=5) as provider:
        for number in range(9):
            try:
                tune(provider, tmp_path, f"cap {number}", budget=f"{cap} tokens")
                done += 1
            except AssayError as error:
                refused += "no room" in error.problem
            assert provider.billed() <= entered(tmp_path)[0] <= cap
        assert done > 2 and done + refused == 9 > done and len(provider.jobs) == done


def test_a_budget_in_money_needs_the_price_of_training(tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(f'[[price]]\nmodel = "{BASE}"\ninput = 1\noutput = 2\n')
    with tuning() as provider, pytest.raises(AssayError, match="cannot be kept"):
        tune(provider, tmp_path, "money", budget="5 USD", prices=prices, base_url="http://192.0.2.1/v1")
    prices.write_text('[[price]]\nmodel = "openai-api/scripted/ft:gpt-x"\ninput = 1\noutput = 2\ntrain = 4\n')
    with tuning() as provider:
        found = tune(provider, tmp_path, "money", budget="5 USD", prices=prices)
        assert found.money == pytest.approx(provider.billed() * 4e-6)
        tuned = find_price(found.model, prices, local=False)
        assert tuned is not None and tuned.output == 2


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SCRIPTED_API_KEY", "sk-wrong-4711")
    return "sk-wrong-4711"


def test_keys_stay_in_the_environment(tmp_path: Path, keyed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with tuning(key="sk-right-0815") as provider:
        with pytest.raises(AssayError) as refused:
            tune(provider, tmp_path, "secret")
        assert "SCRIPTED_API_KEY" in str(refused.value) and keyed not in str(refused.value)
        monkeypatch.setenv("SCRIPTED_API_KEY", "sk-right-0815")
        tune(provider, tmp_path, "secret")
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-right-0815" not in written and keyed.encode() not in written
    monkeypatch.delenv("SCRIPTED_API_KEY")
    with pytest.raises(AssayError, match="not in the environment"):
        tune(provider, tmp_path, "secret", base_url="http://192.0.2.1/v1")


def test_which_bases_are_at_a_provider() -> None:
    hosted = ["openai/gpt-4.1-mini-2025-04-14", "openai/ft:gpt-4o-mini:o::id", "openai-api/service/model"]
    here = ["openai/gpt-oss-20b", "openai-community/gpt2", "pocket", "Qwen/Qwen3-0.6B", "./gpt-4"]
    assert [is_hosted(name) for name in hosted + here] == [True] * 3 + [False] * 5
    price = training_price("openai/gpt-4.1-mini-2025-04-14", TuneConfig())
    assert price is not None and price.train == 5.0
    assert find_price("openai/ft:gpt-4.1-mini-2025-04-14:o:assay-1:id", None, local=False) == price
