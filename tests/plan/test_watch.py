"""A run watched from outside: from the store alone, through a kill and to the end."""

from __future__ import annotations

import json
from pathlib import Path

from assay.core import Inline
from assay.plan import Estimate, Step, StepContext, Store, Watcher, read_steps, run, write_steps


def waits(context: StepContext) -> None:
    """Say how far it is, and look at itself from outside while it works."""
    context.progress(3, 10, "loss 0.5, 20 tokens/s")
    listed = read_steps(Path(context.config["folder"]))
    seen = Watcher().watch(listed)
    (context.out / "seen.json").write_text(
        json.dumps([seen.done, seen.total, [[r.label, r.done, r.total, r.note] for r in seen.running]])
    )


def chain(folder: Path) -> Step:
    first = Step("a", 1, f"{__name__}:waits", {"folder": str(folder), "n": 1}, {}, label="one",
                 estimate=Estimate(seconds=2.0))  # fmt: skip
    return Step("b", 1, f"{__name__}:waits", {"folder": str(folder), "n": 2}, {"up": first}, label="two",
                estimate=Estimate(seconds=2.0))  # fmt: skip


def test_steps_are_seen_while_they_run_and_when_they_are_done(tmp_path: Path) -> None:
    store, last = Store(tmp_path / "store"), chain(tmp_path)
    write_steps(tmp_path, store, [last], whole=True)
    before = Watcher().watch(read_steps(tmp_path))
    assert (before.done, before.total, before.running, before.finished) == (0, 2, (), False)
    with Inline() as pool:
        run([last], store, pool)
    seen = json.loads((store.path(last.key) / "seen.json").read_text())
    assert seen == [1, 2, [["two", 3.0, 10.0, "loss 0.5, 20 tokens/s"]]]
    after = Watcher().watch(read_steps(tmp_path))
    assert after.finished and after.seconds_left == 0.0


def test_what_a_killed_run_left_is_not_under_way(tmp_path: Path) -> None:
    store, last = Store(tmp_path / "store"), chain(tmp_path)
    write_steps(tmp_path, store, [last], whole=True)
    work = store.work(last.key)
    work.mkdir()
    (work / "progress.json").write_text('[3, 10, "steps"]')
    (store.root / "work" / f"{last.key}.lock").touch()
    seen = Watcher().watch(read_steps(tmp_path))
    assert seen.running == () and seen.seconds_left is None and not seen.finished


def test_a_run_whose_steps_are_not_all_known_is_never_finished(tmp_path: Path) -> None:
    store, last = Store(tmp_path / "store"), chain(tmp_path)
    with Inline() as pool:
        write_steps(tmp_path, store, [last], whole=True)
        run([last], store, pool)
    write_steps(tmp_path, store, [last], whole=False)
    assert not Watcher().watch(read_steps(tmp_path)).finished
