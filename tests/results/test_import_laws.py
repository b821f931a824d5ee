"""What holds of any import: names, recipes, checkpoints, what was measured twice, tables of every kind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay
from assay import AssayError
from assay.results import Run, as_pattern, identify
from assay.results._metrics import split_name

Maker = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Return a maker of folders as Hugging Face's Trainer leaves them."""

    def folder(name: str, loss: float, *, state: dict[str, Any] | None = None, **settings: Any) -> Path:
        place = tmp_path / "all" / name
        place.mkdir(parents=True)
        (place / "all_results.json").write_text(json.dumps({"epoch": 1.0, "eval_loss": loss}))
        if settings:
            (place / "args.json").write_text(json.dumps(settings))
        if state is not None:
            (place / "trainer_state.json").write_text(json.dumps(state))
        return tmp_path / "all"

    return folder


words = st.text("abcxyz_", min_size=1, max_size=6)


@given(arm=words, n=st.integers(1, 10**6), seed=st.integers(0, 99), depth=words)
def test_what_a_pattern_writes_it_reads(arm: str, n: int, seed: int, depth: str) -> None:
    name = f"/{depth}/{arm}-{n}-s{seed}/checkpoint-8"
    (known,) = identify([Run("t", "p", (name,))], pattern="{arm}-{n_train}-s{seed}")
    assert not isinstance(known, tuple)
    assert (known.arm, known.n_train, known.seed) == (arm, n, seed)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("{arm}_{n_train}", "mined_2.5k", ("mined", 2500, None)),
        ("{arm}/n{n_train}/{seed}", "out/mined/n32,000/3/eval", ("mined", 32000, 3)),
        ("*-{n_train}-lr{rate}", "a-b-1m-lr3e-4", ("random", 1_000_000, None)),
        ("{n_train}", "x/2000/y/seed1", ("random", 2000, None)),
    ],
)
def test_patterns(pattern: str, name: str, expected: tuple[str, int, int | None]) -> None:
    (known,) = identify([Run("t", "p", (name,))], pattern=pattern)
    assert not isinstance(known, tuple)
    assert (known.arm, known.n_train, known.seed) == expected


@pytest.mark.parametrize("pattern", ["{arm", "{arm}-{arm}", "{1}", "a}"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(AssayError, match="--pattern"):
        as_pattern(pattern)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)))
def test_the_order_of_files_changes_no_point(order: list[int]) -> None:
    runs = [{"run": f"r{k}", "n_train": 100 * 2 ** (k // 2), "seed": k % 2} for k in range(6)]
    from tempfile import TemporaryDirectory

    found = []
    for own in (range(6), order):
        with TemporaryDirectory() as folder:
            places = []
            for k in own:
                place = Path(folder) / f"r{k}"
                place.mkdir()
                (place / "all_results.json").write_text(json.dumps({"eval_loss": 2 - k / 10}))
                places.append(place)
            found.append(assay.import_runs(places, runs=runs).points)
    assert sorted(found[0], key=str) == sorted(found[1], key=str)


def test_unlike_recipes_are_arms_of_their_own(make: Maker) -> None:
    for n in (100, 200, 400):
        for rate in (1e-4, 1e-3):
            place = make(f"full-{n}-lr{rate}", 2 - n / 1000 - rate, learning_rate=rate, seed=0)
    found = assay.import_runs(place, pattern="{arm}-{n_train}-lr*")
    assert {run.arm for run in found.runs} == {"full, learning_rate 0.0001", "full, learning_rate 0.001"}
    (note,) = [note for note in found.notes if note.key == "import.note.apart"]
    assert note.values["settings"] == ("learning_rate",)


def test_a_setting_that_goes_with_the_size_is_said(make: Maker) -> None:
    for n, rate in ((100, 1e-3), (200, 5e-4), (400, 2e-4)):
        place = make(f"full-{n}-s0", 2 - n / 1000, learning_rate=rate)
    found = assay.import_runs(place)
    assert {run.arm for run in found.runs} == {"full"}
    (note,) = [note for note in found.notes if note.key == "import.note.with_size"]
    assert note.values["setting"] == "learning_rate" and "400: 0.0002" in note.values["values"]


def test_unlike_bases_never_make_one_ladder(make: Maker) -> None:
    for n, base in ((100, "small"), (200, "small"), (400, "large")):
        place = make(f"full-{n}-s0", 2 - n / 1000, model_name_or_path=base)
    found = assay.import_runs(place)
    assert {run.arm for run in found.runs} == {"full, base small", "full, base large"}


def test_a_run_that_stopped_is_no_rung(make: Maker) -> None:
    state = {"global_step": 3, "max_steps": 10, "log_history": [{"step": 3, "eval_loss": 1.0}]}
    place = make("full-100-s0", 2.0)
    make("full-200-s0", 1.0, state=state)
    found = assay.import_runs(place)
    assert [run.n_train for run in found.runs] == [100]
    (left,) = found.left_out
    assert left.values["reason"].values == {"done": 3, "of": 10}


def test_a_size_that_the_trainers_speed_belies_is_said(make: Maker) -> None:
    place = make("full-100-s0", 2.0)
    told = {"eval_loss": 2.0, "epoch": 2.0, "train_samples_per_second": 15.6, "train_runtime": 10.0}
    (place / "full-100-s0" / "all_results.json").write_text(json.dumps(told))
    (note,) = [n for n in assay.import_runs(place).notes if n.key == "import.note.implied"]
    assert (note.values["n"], note.values["found"]) == (100, 78)


def test_two_results_that_disagree_are_refused(make: Maker) -> None:
    make("a/full-100-s0", 2.0)
    place = make("b/full-100-s0", 1.0)
    with pytest.raises(AssayError, match="disagree") as caught:
        assay.import_runs(place)
    assert "a/full-100-s0" in str(caught.value) and "b/full-100-s0" in str(caught.value)


def test_of_checkpoints_alone_the_last_stands_for_the_run(make: Maker) -> None:
    for step, loss in ((5, 2.0), (10, 1.5)):
        history = [{"step": step, "eval_loss": loss}]
        place = make(
            f"full-100-s0/checkpoint-{step}", loss,
            state={"global_step": step, "max_steps": 10, "log_history": history},
        )  # fmt: skip
    found = assay.import_runs(place)
    assert [p.value for p in found.points] == [1.5]
    assert {note.key for note in found.notes} == {"import.note.checkpoint", "import.note.checkpoints"}


def test_nothing_known_names_what_would_help(make: Maker) -> None:
    with pytest.raises(AssayError, match="--pattern"):
        assay.import_runs(make("mine", 2.0))
    with pytest.raises(AssayError, match="no reader knows"):
        assay.import_runs(Path(__file__))


def test_a_table_gives_what_curve_reads(tmp_path: Path) -> None:
    rows = [f"{n},{s},{30 + n / 100 + s}" for n in (500, 1000, 2000, 4000) for s in (0, 1)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["n_train,seed,accuracy", *rows]))
    assert assay.import_runs(table).reading.curves == assay.curve(table).curves


WANDB = "Name,State,learning_rate,train_samples,seed,eval/loss,train/loss\n"


def test_exports_of_wandb(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    rows = [f"r{n},finished,0.001,{n},0,{3 - n / 1000},0.1" for n in (100, 200, 400)]
    table.write_text(WANDB + "\n".join([*rows, "r800,crashed,0.001,800,0,9,9"]))
    found = assay.import_runs(table)
    listed = tmp_path / "runs.json"
    told = [
        {"name": f"r{n}", "state": "finished", "summary": {"eval/loss": 3 - n / 1000},
         "config": {"train_samples": {"value": n}, "seed": {"value": 0}, "learning_rate": {"value": 1e-3}}}
        for n in (100, 200, 400)
    ]  # fmt: skip
    listed.write_text(json.dumps(told))
    assert found.points == assay.import_runs(listed).points
    assert [p.value for p in found.points] == [2.9, 2.8, 2.6] and len(found.left_out) == 1
    history = tmp_path / "history.csv"
    lines = [f"{step},{3 - step / 10},{2 - step / 10}" for step in range(5)]
    history.write_text("\n".join(["Step,full-100-s0 - eval/loss,full-200-s0 - eval/loss", *lines]))
    assert [p.value for p in assay.import_runs(history).points] == [2.6, 1.6]


def test_items_that_not_all_have_are_left_out_and_counted(tmp_path: Path) -> None:
    for n, count in ((100, 8), (200, 6), (400, 8)):
        folder = tmp_path / f"full-{n}-s0"
        folder.mkdir()
        rows = [
            {"doc_id": k, "doc_hash": f"h{k}", "filter": "none", "acc": float(k % 3 == 0)}
            for k in range(count)
        ]
        value = sum(row["acc"] for row in rows) / count  # type: ignore[misc]
        told = {
            "results": {"t": {"acc,none": value}},
            "configs": {"t": {}},
            "higher_is_better": {"t": {"acc": True}},
        }
        (folder / "results_1.json").write_text(json.dumps(told))
        (folder / "samples_t_1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = assay.import_runs(tmp_path)
    assert {p.n_eval for p in found.points} == {6} and {p.value for p in found.points} == {2 / 6}
    assert [n.values["n"] for n in found.notes if n.key == "import.note.common"] == [6]


def test_cut_and_broken_files_say_where(tmp_path: Path) -> None:
    folder = tmp_path / "full-100-s0"
    folder.mkdir()
    (folder / "all_results.json").write_text('{"eval_loss": 1.')
    with pytest.raises(AssayError, match="all_results"):
        assay.import_runs(tmp_path)
    store = tmp_path / "mlflow.db"
    store.write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    with pytest.raises(AssayError, match="mlflow"):
        assay.import_runs(store)


def test_a_metric_is_asked_for_by_name(tmp_path: Path) -> None:
    peers = Path(__file__).parent / "peers" / "lm_eval"
    found = assay.import_runs(peers, metric=["acc_norm"])
    assert {p.type for p in found.points} == {"testbed_choice"}
    with pytest.raises(AssayError, match="acc_norm"):
        assay.import_runs(peers, metric=["rouge"])


def test_runs_without_a_seed_are_told_apart_by_place_and_joined_by_name(make: Maker) -> None:
    for name in ("a", "b"):
        place = make(f"{name}/n100/output", 2.0 if name == "a" else 1.0)
    found = assay.import_runs(place, pattern="n{n_train}")
    assert sorted(run.seed for run in found.runs) == [0, 1] and len(found.points) == 2
    table = place / "told.csv"
    table.write_text("run,n_train,seed,score\nfull-300,300,7,0.5\n")
    make("full-300", 1.5, train_samples=300)
    both = assay.import_runs([place / "full-300", table], pattern="{arm}-{n_train}")
    assert [(run.seed, run.metrics) for run in both.runs] == [(7, 2)]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("eval_loss", ("", "loss", True)), ("eval/loss", ("", "loss", True)),
        ("eval_law_loss", ("law", "loss", True)),
        ("eval_exact_match", ("", "exact_match", True)), ("test_accuracy", ("test", "accuracy", True)),
        ("gsm8k/accuracy", ("gsm8k", "accuracy", True)), ("accuracy", ("", "accuracy", True)),
        ("loss", None), ("train/loss", None), ("training_loss", None), ("mean_loss", None),
        ("eval_runtime", None),
        ("learning_rate", None), ("eval_mean_token_accuracy", ("", "mean_token_accuracy", False)),
    ],
)  # fmt: skip
def test_names_of_metrics(key: str, expected: tuple[str, str, bool] | None) -> None:
    assert split_name(key) == expected


def test_a_training_that_diverged_has_no_earlier_value(tmp_path: Path) -> None:
    for n, last in ((100, 1.0), (200, math.nan)):
        folder = tmp_path / f"full-{n}-s0"
        folder.mkdir()
        history = [{"step": 1, "eval_loss": 2.0}, {"step": 2, "eval_loss": last}]
        state = {"log_history": history, "global_step": 2, "max_steps": 2}
        (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    found = assay.import_runs(tmp_path)
    assert [(p.n_train, p.value) for p in found.points] == [(100, 1.0)]
    (note,) = [note for note in found.notes if note.key == "import.note.nan"]
    assert "full-200-s0" in str(note.values["run"])


def test_rows_of_the_table_that_no_run_takes_are_said(make: Maker) -> None:
    for n in (100, 200, 400):
        place = make(f"full-{n}-s0", 2 - n / 1000)
    rows = [{"run": f"full-{n}-s0", "n_train": str(n)} for n in (100, 200, 400)]
    assert assay.import_runs(place, runs=rows).left_out == ()
    found = assay.import_runs(place, runs=[*rows, {"run": "full-800-s0", "n_train": "800"}])
    assert [(said.key, said.values) for said in found.left_out] == [
        ("import.unknown.row", {"run": "full-800-s0"})
    ]
    with pytest.raises(AssayError, match="no row of the table names a run") as caught:
        assay.import_runs(place, runs=[{"run": "half-100-s0", "n_train": "100"}])
    assert caught.value.place == "--runs" and caught.value.value == "half-100-s0"
    assert "full-100-s0" in str(caught.value.expected)


def test_a_base_that_no_run_is_called_is_refused(make: Maker) -> None:
    for n in (100, 200, 400):
        place = make(f"full-{n}-s0", 2 - n / 1000)
    make("untrained", 2.5)
    assert 0 in {run.n_train for run in assay.import_runs(place, base="models/untrained").runs}
    with pytest.raises(AssayError, match="no run that was read is of this untrained model") as caught:
        assay.import_runs(place, base="models/pocket")
    assert caught.value.place == "--base" and "leave --base out" in str(caught.value.hint)
