"""One training through the steps of a study: content is identity, kills lose nothing, nothing is mixed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import assay
from assay.core import AssayError
from assay.data import synthetic
from assay.plan import Store
from assay.study import find_model


def rows(n: int, seed: int = 0) -> list[dict[str, Any]]:
    found = []
    for planted in synthetic.generate(n, seed=seed, types=("classification", "code")):
        sample = planted.sample
        found.append({"instruction": sample.prompt[0].content, "input": "", "output": sample.answer})
    return found


def write(path: Path, lines: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def train(place: Path, out: Path, store: Path, *changes: str, seed: int = 0) -> assay.Trained:
    return assay.train(
        str(place), out, seed=seed, device="cpu", set=changes or ("batch_size=8",), store=store,
    )  # fmt: skip


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


def test_content_decides_whether_a_training_is_done_again(tmp_path: Path) -> None:
    data, out, store = write(tmp_path / "pool.jsonl", rows(16)), tmp_path / "out", tmp_path / "store"
    first, trained = train(data, out, store), weights(out)
    again = train(data, out, store)
    assert not first.reused and again.reused and again.key == first.key and weights(out) == trained
    changed = rows(16)
    changed[3]["output"] += " indeed"
    write(data, changed)
    other = train(data, out, store)
    assert other.key != first.key and not other.reused and weights(out) != trained
    receipt = json.loads((out / "receipt.json").read_text())
    assert receipt["key"] == other.key and "replaced" not in receipt
    copied = write(tmp_path / "elsewhere" / "pool.jsonl", rows(16))
    back = train(copied, tmp_path / "moved", store)
    assert back.reused and back.key == first.key and weights(tmp_path / "moved") == trained
    assert Store(store).verify() == []


@pytest.mark.parametrize(
    "change", [("batch_size=8", "learning_rate=1e-4"), ("batch_size=4",), ("batch_size=8", "epochs=2")]
)
def test_recipe_and_seed_are_identity(tmp_path: Path, change: tuple[str, ...]) -> None:
    data, store = write(tmp_path / "pool.jsonl", rows(16)), tmp_path / "store"
    keys = {train(data, tmp_path / "out", store).key, train(data, tmp_path / "out", store, *change).key}
    keys.add(train(data, tmp_path / "out", store, seed=1).key)
    assert len(keys) == 3


def test_the_order_of_rows_and_files_changes_no_weight(tmp_path: Path) -> None:
    found = rows(24)
    places = [
        write(tmp_path / "a" / "pool.jsonl", found),
        write(tmp_path / "b" / "pool.jsonl", found[::-1]),
        write(tmp_path / "c" / "1.jsonl", found[10:]).parent,
    ]
    write(tmp_path / "c" / "2.jsonl", found[:10])
    made = [train(place, tmp_path / f"out{i}", tmp_path / "store") for i, place in enumerate(places)]
    assert len({one.key for one in made}) == 3, "files are told apart by their bytes"
    assert len({weights(tmp_path / f"out{i}") for i in range(3)}) == 1, "weights by what the samples say"


def test_every_row_is_trained_on_or_named(tmp_path: Path) -> None:
    good = rows(12)
    bad = [
        "{broken",
        {"instruction": "Nothing?", "output": ""},
        {"messages": [{"role": "user", "content": "?"}]},
    ]
    long = {"instruction": "word " * 400, "input": "", "output": "too late"}
    cut = {"instruction": "Count.", "input": "", "output": "one two three " * 200}
    data = write(tmp_path / "pool.jsonl", [*good, *bad, good[0], long, cut])
    made = train(data, tmp_path / "out", tmp_path / "store", "batch_size=8", "max_tokens=128")
    named = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert (made.samples, made.duplicates) == (14, 1)
    assert sum(made.rejected.values()) == len(named) == 3
    assert made.samples + made.duplicates + len(named) == 18, "no row is lost"
    assert {row["reason"] for row in named} == set(made.rejected) and all(row["place"] for row in named)
    assert (made.cut, made.unlearnable) == (2, 1)
    (source,) = json.loads((tmp_path / "out" / "receipt.json").read_text())["data"]
    assert (source["rows"], source["kept"], source["rejected"], source["duplicates"]) == (18, 14, 3, 1)


def test_a_training_that_learns_nothing_is_an_error(tmp_path: Path) -> None:
    long = [{"instruction": f"{i} " + "word " * 200, "input": "", "output": "late"} for i in range(4)]
    data = write(tmp_path / "pool.jsonl", long)
    with pytest.raises(AssayError, match="no trainable token is left") as caught:
        train(data, tmp_path / "out", tmp_path / "store", "max_tokens=64")
    assert caught.value.place == "recipe.max_tokens" and not (tmp_path / "out" / "model").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    data, store = write(tmp_path / "pool.jsonl", rows(8)), tmp_path / "store"
    other, file = write(tmp_path / "other" / "thesis.txt", ["mine"]), write(tmp_path / "file", ["mine"])
    for place in (other.parent, file):
        with pytest.raises(AssayError, match="holds something else"):
            train(data, place, store)
    out = tmp_path / "out"
    train(data, out, store)
    for spoil in (lambda: (out / "model" / "notes.txt").write_text("mine"), lambda: spoil_weights(out)):
        spoil()
        with pytest.raises(AssayError, match="holds something else"):
            train(data, out, store, seed=1)
        (out / "model" / "notes.txt").unlink(missing_ok=True)
    assert other.read_text() == "mine\n" and file.read_text() == "mine\n"


def test_a_model_is_not_written_into_its_data(tmp_path: Path) -> None:
    data = write(tmp_path / "data" / "pool.jsonl", rows(8)).parent
    with pytest.raises(AssayError, match="lies in an input folder"):
        train(data, data / "tuned", tmp_path / "store")


def spoil_weights(out: Path) -> None:
    raw = bytearray(weights(out))
    raw[-1] ^= 1
    (out / "model" / "model.safetensors").write_bytes(raw)


@pytest.mark.parametrize("left", ["old", "new", "none"])
def test_a_kill_while_the_model_is_replaced_leaves_a_folder_that_is_ours(tmp_path: Path, left: str) -> None:
    """Between the two receipts the folder holds the old model, the new one, or neither."""
    data, out, store = write(tmp_path / "pool.jsonl", rows(8)), tmp_path / "out", tmp_path / "store"
    train(data, out, store)
    shutil.copytree(out, tmp_path / "old")
    train(data, out, store, seed=1)
    old, new = (json.loads((place / "receipt.json").read_text()) for place in (tmp_path / "old", out))
    (out / "receipt.json").write_text(json.dumps({**new, "replaced": old["files"]}))
    left_by_another = "import sys, pathlib, assay.core as c; c.partial_of(pathlib.Path(sys.argv[1])).mkdir()"
    subprocess.run([sys.executable, "-c", left_by_another, str(out / "model")], check=True)
    assert len(list(out.glob(".model*"))) == 1
    if left != "new":
        shutil.rmtree(out / "model")
    if left == "old":
        shutil.copytree(tmp_path / "old" / "model", out / "model")
    train(data, out, store, seed=1)
    assert json.loads((out / "receipt.json").read_text()) == new
    assert {p.name for p in out.iterdir()} == {"model", "receipt.json", "train.json"}


SOON = "import assay.model.train._train as t; t.SAVE_EVERY_SECONDS = 0.5; from assay.cli import main; main()"
"""The command with a state twice a second, where it is one every twenty seconds."""
COMMAND = (sys.executable, "-c", SOON, "train", "pool.jsonl", "out", "--quiet", "--device", "cpu")


def killed_once_saved(folder: Path, epochs: int) -> bool:
    """Start a training and kill it when it has saved a state; say whether that was before its end."""
    command = [*COMMAND, "--set", "batch_size=8", "--set", f"epochs={epochs}"]
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    while process.poll() is None:
        if any(folder.glob(".assay/work/*/scratch/state/*")):
            os.kill(process.pid, signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        time.sleep(0.05)
    return False


@pytest.mark.timeout(1200)
@pytest.mark.long
def test_killed_after_a_state_was_saved_it_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """The run grows until there is a state before its end."""
    write(tmp_path / "pool.jsonl", rows(64))
    epochs = next(n for n in (10, 20, 40, 80, 160) if killed_once_saved(tmp_path, n))
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob(".assay/objects/??/*")}
    command = [*COMMAND, "--set", "batch_size=8", "--set", f"epochs={epochs}"]
    subprocess.run(command, cwd=tmp_path, check=True)
    after = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob(".assay/objects/??/*")}
    assert before.items() <= after.items() and len(after) == len(before) + 1, "only the training was done"
    subprocess.run([*command[:5], "whole", *command[6:], "--store", "other"], cwd=tmp_path, check=True)
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")
    went, whole = (json.loads((tmp_path / n / "train.json").read_text()) for n in ("out", "whole"))
    assert went["trace"] == whole["trace"] and len(went["trace"]) == 8 * epochs
    assert went["learned_tokens"] == whole["learned_tokens"]


def test_the_model_is_found_and_answers(tmp_path: Path) -> None:
    data = write(tmp_path / "pool.jsonl", rows(8))
    made = train(data, tmp_path / "out", tmp_path / "store")
    assert find_model(made.path).folder == tmp_path / "out" / "model"
