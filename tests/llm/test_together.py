"""Together's SDK against a scripted server: the same promises as by OpenAI's protocol."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from together_server import TogetherProvider
from tune_server import Provider, persistently, rows, tuning

from assay.core import AssayError
from assay.llm import TuneConfig, Tuned, Tuner, find_price, is_hosted, training_price
from assay.llm import _faults as faults

pytest.importorskip("together")

BASE = "together/meta-llama/Llama-X"
EVERY = dict.fromkeys(("limited", "error", "lost", "cut", "reset"), 0.05)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_BACKOFF_SECONDS", 0.01)


def tune(provider: Provider, folder: Path, word: str, **changes: Any) -> Tuned:
    own = TuneConfig(base_url=provider.url, poll=0.005, listed=0.15)
    config = replace(own, **changes)
    with Tuner(BASE, config, calls=folder / "calls", run="study") as tuner:
        return tuner.tune(word.encode().hex().ljust(64, "0"), rows(folder, word), seed=1)


def entered(folder: Path) -> tuple[int, int]:
    with sqlite3.connect(folder / "calls" / "calls.sqlite") as db:
        found = db.execute("SELECT coalesce(sum(tokens), 0), count(*) FROM job").fetchone()
    return int(found[0]), int(found[1])


def test_a_job_brings_a_model_and_is_found_again(tmp_path: Path) -> None:
    with tuning(TogetherProvider) as provider:
        found = tune(provider, tmp_path, "one", learning_rate=2e-5)
        assert found.model.startswith("together/owner/Llama-X-assay-") and found.attempt == 1
        (job,) = provider.jobs.values()
        assert job["model"] == "meta-llama/Llama-X" and job["seed"] == 1
        assert job["method"]["supervised"]["hyperparameters"] == {"n_epochs": 3, "rate": 2e-5}
        assert provider.files[job["training_file"]]["text"] == rows(tmp_path, "one").read_text()
        other = tmp_path / "other"
        other.mkdir()
        assert tune(provider, other, "one", learning_rate=2e-5) == found and len(provider.jobs) == 1
        assert provider.billed() <= entered(tmp_path)[0]


def test_no_fault_loses_a_job_or_pays_for_two(tmp_path: Path) -> None:
    words = [f"job {number}" for number in range(8)]
    with tuning(TogetherProvider, faults=EVERY, seed=3, lag=0.05) as provider:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda w: persistently(lambda: tune(provider, tmp_path, w)), words))
        assert sum(provider.met.values()) > 15 and set(provider.met) == set(EVERY)
        assert len({one.model for one in found}) == len(words) == len(provider.jobs)
        assert set(provider.trained().values()) == {1}
        assert provider.billed() <= entered(tmp_path)[0] and entered(tmp_path)[1] == len(words)


class Killed(BaseException):
    """The process ends here, whatever it was about to do."""


def test_a_crash_between_request_and_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = Tuner._create

    def killed(self: Tuner, *given: Any) -> Any:
        create(self, *given)
        raise Killed

    with tuning(TogetherProvider, lag=0.08) as provider:
        with monkeypatch.context() as patched:
            patched.setattr(Tuner, "_create", killed)
            with pytest.raises(Killed):
                tune(provider, tmp_path, "crash")
        assert tune(provider, tmp_path, "crash").attempt == 1 and len(provider.jobs) == 1


def test_failures_hangs_and_the_cap(tmp_path: Path) -> None:
    outcomes = {"first": "once fails", "always": "fails", "slow": "once hangs"}
    with tuning(TogetherProvider, outcomes=outcomes) as provider:
        assert tune(provider, tmp_path, "first").attempt == 2
        with pytest.raises(AssayError, match="fine-tuning failed: broke"):
            tune(provider, tmp_path, "always")
        with pytest.raises(AssayError, match="gave no news"):
            tune(provider, tmp_path, "slow", patience=0.05 / 3600)
        assert tune(provider, tmp_path, "slow").attempt == 2
        begun = len(provider.jobs)
        with pytest.raises(AssayError, match="no room"):
            tune(provider, tmp_path, "cap", budget="10 tokens")
        assert len(provider.jobs) == begun


def test_settings_and_prices(tmp_path: Path) -> None:
    assert is_hosted(BASE)
    with tuning(TogetherProvider) as provider:
        with pytest.raises(AssayError, match="takes no such setting") as caught:
            tune(provider, tmp_path, "rate", learning_rate_multiplier=2.0)
        assert caught.value.place == "hosted.learning_rate_multiplier"
    prices = tmp_path / "prices.toml"
    prices.write_text(
        f'[[price]]\nmodel = "{BASE.replace("Llama", "ft:Llama")}"\ninput = 1.0\noutput = 2.0\ntrain = 5.0\n'
    )
    price = training_price(BASE, TuneConfig(prices=prices))
    assert price is not None and price.train == 5.0
    made = f"together/owner/Llama-X-assay-{'0' * 28}-1-abcd"
    assert find_price(made, prices, local=False) == price


def test_without_the_sdk_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.llm._together.find_spec", lambda name: None)
    with pytest.raises(AssayError, match="SDK is not installed") as caught:
        Tuner(BASE, TuneConfig(base_url="http://127.0.0.1:1"), calls=tmp_path, run="r")
    assert caught.value.hint == "pip install together"
