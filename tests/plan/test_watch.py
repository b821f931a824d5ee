"""A run watched from outside: from the store alone, through a kill and to the end."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from assay.core import Inline
from assay.plan import (
    Estimate,
    Step,
    StepContext,
    Store,
    Watcher,
    _progress,
    listing,
    open_store,
    progress_bar,
    quiet,
    read_steps,
    run,
)


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


def listed(folder: Path, store: Store, last: Step) -> None:
    with listing(folder, store) as own:
        own.add([last], whole=True)


def test_steps_are_seen_while_they_run_and_when_they_are_done(tmp_path: Path, place: str) -> None:
    store, last = open_store(place), chain(tmp_path)
    listed(tmp_path, store, last)
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
    listed(tmp_path, store, last)
    work = store.work(last.key)
    work.mkdir()
    (work / "progress.json").write_text('[3, 10, "steps"]')
    (store.root / "work" / f"{last.key}.lock").touch()
    seen = Watcher().watch(read_steps(tmp_path))
    assert seen.running == () and seen.seconds_left is None and not seen.finished


def test_a_run_whose_steps_are_not_all_known_is_never_finished(tmp_path: Path) -> None:
    store, last = Store(tmp_path / "store"), chain(tmp_path)
    with Inline() as pool, listing(tmp_path, store):
        run([last], store, pool)
    assert not Watcher().watch(read_steps(tmp_path)).finished


def test_a_command_at_work_is_seen_between_its_steps_and_lists_what_it_runs(tmp_path: Path) -> None:
    store, last = Store(tmp_path / "store"), chain(tmp_path)
    first = last.inputs["up"]
    with Inline() as pool, listing(tmp_path, store):
        with listing(tmp_path, store):  # two processes at one study
            run([first], store, pool)
        seen = Watcher().watch(read_steps(tmp_path))
        assert (seen.working, seen.done, seen.total, seen.running) == (True, 1, 1, ())
        run([last], store, pool)
        assert Watcher().watch(read_steps(tmp_path)).total == 2
    assert not Watcher().watch(read_steps(tmp_path)).working


def pays(context: StepContext) -> None:
    """Pay half of what was thought, and take a while."""
    time.sleep(0.02)
    context.used["money"] = 0.5
    seen = Watcher().watch(read_steps(Path(context.config["folder"])))
    (context.out / "seen.json").write_text(json.dumps([dict(seen.paid), dict(seen.to_pay)]))


def test_money_paid_and_to_pay_is_told_by_currency(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    up: dict[str, Step] = {}
    for n in range(2):
        step = Step("judge", 1, f"{__name__}:pays", {"folder": str(tmp_path), "n": n}, up, label=str(n),
                    estimate=Estimate(seconds=3600.0, money=1.0, currency="EUR", paid=True))  # fmt: skip
        up = {"up": step}
    with Inline() as pool, listing(tmp_path, store, {"USD": 2.0}) as own:
        own.add([step], whole=True)
        run([step], store, pool)
    paid, to_pay = json.loads((store.path(step.key) / "seen.json").read_text())
    assert paid == {"EUR": 0.5} and to_pay["EUR"] == 1.0 and set(to_pay) == {"EUR", "USD"}


def test_a_bar_without_a_terminal_prints_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search of minutes with its output in a file is not silent; a quick one prints nothing."""
    with progress_bar("search") as advance:
        advance(1, 6, "run")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(_progress, "_PLAIN_SECONDS", 0.0)
    with progress_bar("search") as advance:
        advance(2, 6, "run")
    assert capsys.readouterr().err == "search (2 of 6, run)\n"
    with quiet(), progress_bar("search") as advance:
        advance(3, 6, "run")
    assert capsys.readouterr().err == ""
