"""Our own implementations pass the suites that plug-ins are held to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assay.curves import FREE_FORMS
from assay.data import READERS
from assay.indicators import INDICATORS
from assay.judging import CHECKER, METRICS
from assay.results import OWN
from assay.selection import SELECTIONS
from assay.testing import (
    CurveFormSuite,
    IndicatorSuite,
    JudgeSuite,
    PoolSuite,
    ReaderSuite,
    ResultReaderSuite,
    SelectionSuite,
    TrainerSuite,
)

CRITICS = {name for name, i in INDICATORS.items() if {"reward", "dialog", "rater"} & set(i.needs)}
"""Indicators whose models are too large to carry; test_critics.py and test_ratings.py have small ones."""

ROWS: Mapping[str, list[dict[str, Any]]] = {
    "alpaca": [{"instruction": f"Add {n} and 1.", "input": "", "output": str(n + 1)} for n in range(6)],
    "messages": [
        {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "yes"}]}
        for n in range(6)
    ],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": f"{n}?"}, {"from": "gpt", "value": "yes"}]}
        for n in range(6)
    ],
    "belle-eval": [{"question": f"{n}?", "class": "math", "std_answer": "1"} for n in range(6)],
    "self-instruct": [
        {"instruction": f"Double {n}.", "instances": [{"input": "", "output": str(2 * n)}]} for n in range(6)
    ],
    "multiple-choice": [{"question": f"{n}?", "A": "1", "B": "2", "answer": "A"} for n in range(6)],
    "question-answer": [{"question": f"{n}?", "answer": "yes"} for n in range(6)],
    "prompt-completion": [{"prompt": f"{n}?", "completion": "yes"} for n in range(6)],
    "prompts": [{"prompt": f"{n}?"} for n in range(6)],
    "lima": [{"conversations": [f"{n}?", "yes"]} for n in range(6)],
    "exchanges": [{"conversation": [{"human": f"{n}?", "assistant": "yes"}]} for n in range(6)],
    "moss": [{"chat": {"turn_1": {"Human": f"{n}?", "MOSS": "yes"}}} for n in range(6)],
    "oasst-tree": [
        {"prompt": {"text": f"{n}?", "role": "prompter", "replies": [{"text": "yes", "role": "assistant"}]}}
        for n in range(6)
    ],
    "mt-bench": [{"turns": [f"{n}?", "And then?"], "reference": ["yes", "no"]} for n in range(6)],
    "ultrachat": [{"data": [f"{n}?", "yes"]} for n in range(6)],
    "ranked-answers": [
        {"question": f"{n}?", "answers": [{"text": "no", "score": 1}, {"text": "yes", "score": 2}]}
        for n in range(6)
    ],
    "dolly": [{"instruction": f"Add {n} and 1.", "context": "", "response": str(n + 1)} for n in range(6)],
    "openorca": [{"system_prompt": "", "question": f"{n}?", "response": "yes"} for n in range(6)],
    "input-target": [{"kind": "math", "input": f"{n}?", "target": "yes"} for n in range(6)],
    "wikihow": [{"title": f"How to count to {n}", "text": "Begin with one."} for n in range(6)],
    "dialogue": [{"text": f"Human: {n}?\n\nAssistant: yes"} for n in range(6)],
}
REFUSED = {"oasst-message", "mt-bench-answer"}
"""Layouts that are known to say why none of their rows is a sample; tests/data has them."""


OF_PACKAGES = (
    "test_its_identity_changes_with_its_package",
    "test_its_version_is_a_whole_number",
    "test_other_files_are_left_to_others",
)
"""Laws of what somebody's package brings: of ours they would ask nothing."""


def suites(base: type, names: Any, **more: Mapping[str, Any]) -> None:
    """Define a test class for each name, with what is particular to it."""
    for name in names:
        title = f"Test{base.__name__.removesuffix('Suite')}_{name.replace('-', '_')}"
        own = {law: None for law in OF_PACKAGES if hasattr(base, law)}
        globals()[title] = type(title, (base,), {"name": name, **own, **more.get(name, {})})


def test_every_format_of_ours_has_an_example() -> None:
    assert set(ROWS) | REFUSED == set(READERS.own) and not REFUSED & set(ROWS)


class FormatSuite(ReaderSuite):
    """A format of ours, as JSON lines with one row that is none."""

    def examples(self, folder: Path) -> Mapping[Path, int]:
        place = folder / f"{self.name}.jsonl"
        lines = [json.dumps(row) for row in ROWS[self.name]]
        place.write_text("\n".join([*lines[:3], "{}", *lines[3:]]) + "\n", encoding="utf-8")
        return {place: len(lines) + 1}


TRAINED = {
    "count": 2,
    "test_values_are_the_same_in_every_process": None,
    "test_what_is_cached_depends_on_the_text_alone": None,
    "test_the_table_counts_what_has_no_value": None,
}
"""Less trains a model for each pool: few samples, and without the laws that need a training each."""
LONG = {"pytestmark": pytest.mark.long}


def by_model(name: str) -> dict[str, Any]:
    """Return that a model's sums may be taken in another order, where a model measures."""
    if not set(INDICATORS[name].needs) - {"pool"}:
        return {}
    return {"tolerance": 1e-4, "count": 24, **({**TRAINED, **LONG} if name == "less" else {})}


measured = sorted(set(INDICATORS) - CRITICS)
suites(IndicatorSuite, measured, **{name: by_model(name) for name in measured})
suites(FormatSuite, ROWS)
suites(SelectionSuite, SELECTIONS)
suites(JudgeSuite, [CHECKER, *METRICS])
suites(CurveFormSuite, FREE_FORMS)
suites(TrainerSuite, ["full"])
suites(
    PoolSuite,
    ["inline", "processes", "ray"],
    inline={"workers": False},
    processes={"settings": "2"},
    ray={"settings": "workers=2", **LONG},
)


@pytest.mark.parametrize("name", sorted(CRITICS))
def test_indicators_that_are_left_out_need_a_critic(name: str) -> None:
    assert {"reward", "dialog", "rater"} & set(INDICATORS[name].needs)


PEERS = Path(__file__).parent.parent / "results" / "peers"
RESULTS_OF: Mapping[str, str] = {
    "lm_eval": "lm_eval/runs__trl-64-s0/results_*.json",
    "inspect": "inspect/*.eval",
    "trainer": "trl/trl-64-s0/trainer_state.json",
    "mlflow": "mlflow/mlflow.db",
    "trackio": "trackio/p.db",
    "tensorboard": "tensorboard/trl-64-s0/*",
}
"""A file of each tool among those that the tools themselves wrote."""


class ResultsSuite(ResultReaderSuite):
    """Readers of results, on files that their tools wrote."""

    def examples(self, folder: Path) -> Mapping[Path, int]:
        if self.name == "table":
            place = folder / "t.csv"
            place.write_text("run,n_train,score\na,100,0.5\nb,200,0.6\n")
            return {place: 2}
        if self.name == "wandb":
            place = folder / "wandb-summary.json"
            place.write_text('{"eval/loss": 1.5}')
            return {place: 1}
        source = sorted(PEERS.glob(RESULTS_OF[self.name]))[0]
        place = folder / source.name
        place.write_bytes(source.read_bytes())
        return {place: {"mlflow": 20, "trackio": 10}.get(self.name, 1)}


suites(ResultsSuite, [reader.name for reader in OWN])
