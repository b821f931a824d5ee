"""Arms with replay: a share of general data in every rung, whoever trains it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import study
from assay.core import AssayError, StudyResult, read_json
from assay.model import TokenTable
from assay.plan import Store
from assay.study._bases import study_ladders
from assay.study._config import parse_config
from assay.study._graph import input_steps
from assay.study._run import read_summary
from assay.study.steps._replay import replay_order


@given(
    st.integers(1, 400), st.integers(1, 50), st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.9]), st.integers(0, 5)
)  # fmt: skip
def test_every_rung_holds_its_share(rows: int, general: int, share: float, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(rows)
    mixed = replay_order(order, rows, general, share, seed)
    for n in range(1, len(mixed) + 1, 7):
        replayed = int((mixed[:n] >= rows).sum())
        assert replayed == int(n * share + 1e-9)
    own, other = mixed[mixed < rows], mixed[mixed >= rows] - rows
    assert own.tolist() == order[: len(own)].tolist() and len(order) - len(own) <= 1
    uses = np.bincount(other, minlength=general)
    assert uses.max() - uses.min() <= 1


def config(folder: Path, **arm: Any) -> dict[str, Any]:
    few: dict[str, Any] = {"types": ["math"], "languages": ["en"]}
    return {
        "name": "replay", "pool": {"testbed": {"samples": 120, **few}},
        "evaluation": {"testbed": {"samples": 12, "seed": 1, **few}},
        "ladder": {"rungs": [20, 40], "seeds": 1}, "recipe": {"preset": "testbed", "batch_size": 8},
        "measure": {"answers": False}, "recipe_check": False, "where": {"store": str(folder / "store")},
        "arms": {"replay": arm},
    }  # fmt: skip


def test_a_ladder_with_replay_of_texts_and_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The random arm is that of a study without replay; the rows of the other come from pool and files."""
    monkeypatch.chdir(tmp_path)
    text, samples = tmp_path / "plain.txt", tmp_path / "general.jsonl"
    text.write_text("The river rises in the hills.\n\nIt ends in a lake.\n", encoding="utf-8")
    samples.write_text(
        '{"instruction": "Say something kind.", "output": "You did well."}\n', encoding="utf-8"
    )
    asked = parse_config(config(tmp_path, replay=[str(text), str(samples)], share=0.25))
    alone = parse_config({**config(tmp_path), "arms": {}})
    result = study.run(asked, pool="inline")
    assert isinstance(result, StudyResult)
    assert {row.name: row.rule for row in result.arms}["replay"] == "random + replay 0.25"
    store = Store(tmp_path / "store")

    def steps(of: Any) -> dict[tuple[str, int], Any]:
        evaluation, pool = input_steps(of)
        (ladder,) = study_ladders(of, evaluation, pool, read_summary(store, pool)).values()
        return {(run.arm, run.n_train): run for run in ladder.runs()}

    found = steps(asked)
    assert all(found[key].answer.key == run.answer.key for key, run in steps(alone).items())
    last = found["replay", 40].branch
    table, order = (store.path(last.inputs[name].key) for name in ("tokens", "order"))
    rows, counts = np.load(order / "order.npy")[:40], read_json(table / "counts.json")
    assert counts["rows"] - counts["pool"] == 3 and (rows >= counts["pool"]).sum() == 10
    plain = TokenTable(table).row(counts["pool"])
    assert plain[1][1:].all(), "all tokens of a plain text are learned"
    assert not TokenTable(table).row(counts["pool"] + 2)[1].all(), "of a sample its answer alone"


def test_errors_name_the_arm(tmp_path: Path) -> None:
    with pytest.raises(AssayError) as refused:
        parse_config(config(tmp_path, replay=["x.txt"], share=1.5))
    assert refused.value.place == "arms.replay.share"
