"""What a run will take, may take at most, and took: learned from the store, checked against a cap."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from assay.core import AssayError
from assay.plan import Cap, Estimate, Inline, Step, Store, _took, metered, parse_cap, plan, run, timed
from assay.plan._took import Took


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def guessed(value: int, seconds: float, *inputs: Step, kind: str = "") -> Step:
    estimate = Estimate(seconds=seconds, tokens=100.0, bytes=10.0, kind=kind)
    return replace(toys.step(value, *inputs), estimate=estimate)


def logged(store: Store, rows: Sequence[tuple[float, float]], kind: str = "", name: str = "toy") -> None:
    with (store.root / "took.jsonl").open("a") as log:
        for guess, seconds in rows:
            estimate = {"seconds": guess, "tokens": 100.0, "kind": kind}
            row = {"name": name, "kind": kind, "estimate": estimate, "seconds": seconds, "cpu": seconds / 2}
            log.write(
                json.dumps({**row, "first": False, "bytes": 40.0, "tokens": 25.0, "money": None}) + "\n"
            )


def test_a_store_that_has_seen_nothing_says_so(store: Store) -> None:
    found = plan([guessed(1, 4.0), guessed(2, 6.0)], store).forecast
    assert (found.seconds, found.wall, found.learned) == (10.0, 10.0, 0)
    assert found.low == pytest.approx(10 / 3) and found.high == pytest.approx(30.0)
    assert found.said().key == "cost.before.rough"


def test_estimates_are_learned_by_kind_then_by_name(store: Store) -> None:
    logged(store, [(1.0, 3.0), (2.0, 6.0), (4.0, 12.0)])
    logged(store, [(1.0, 10.0), (2.0, 20.0), (4.0, 40.0)], kind="large")
    plain, large = guessed(1, 4.0), guessed(2, 4.0, kind="large")
    assert plan([large], store).forecast.seconds == pytest.approx(40.0, rel=0.05)
    by_name = plan([plain], store).forecast
    assert by_name.seconds == pytest.approx(4 * 13 / 2, rel=0.05)
    assert by_name.cpu == pytest.approx(by_name.seconds / 2, rel=0.05)
    assert by_name.tokens == pytest.approx(25.0) and by_name.learned == 1


def test_a_kind_that_was_not_seen_is_that_of_its_first_words(store: Store) -> None:
    logged(store, [(1.0, 2.0)], kind="base answers 12")
    logged(store, [(1.0, 50.0)], kind="base loss")
    seen = [guessed(n, 3.0, kind=k) for n, k in enumerate(("base answers 24", "base loss", "other"))]
    assert [plan([s], store).forecast.seconds for s in seen] == pytest.approx([6.0, 150.0, 78.0], rel=0.1)


def test_what_does_not_grow_with_the_guess_is_learned_too(store: Store) -> None:
    logged(store, [(g, 5.0 + 2.0 * g) for g in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)])
    assert plan([guessed(1, 20.0)], store).forecast.seconds == pytest.approx(45.0, rel=0.05)


def test_each_sort_of_work_has_its_own_pace(store: Store) -> None:
    def work(read: float, written: float) -> Estimate:
        return Estimate(seconds=read + written, kind="base", parts={"read": read, "write": written})

    for read, written in ((1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (3.0, 0.0), (0.5, 4.0)):
        took = Took("toy", "base", work(read, written), 2.0 * read + 9.0 * written, 0.0, first=False)
        _took.note(store.root, took)
    for read, written in ((4.0, 0.0), (1.0, 8.0)):  # longer answers than any that was seen, and none at all
        step = replace(toys.step(1), estimate=work(read, written))
        expected = 2.0 * read + 9.0 * written
        assert plan([step], store).forecast.seconds == pytest.approx(expected, rel=0.1)


def test_loading_libraries_is_no_part_of_the_pace(store: Store) -> None:
    _took.note(store.root, Took("toy", "", Estimate(seconds=0.1), 5.0, 4.0, first=True))
    assert plan([guessed(1, 20.0)], store).forecast.seconds == pytest.approx(25.0, rel=0.2)


def test_workers_share_what_does_not_wait(store: Store) -> None:
    first = guessed(1, 5.0)
    steps = [guessed(value, 3.0, first) for value in range(2, 6)]
    assert plan(steps, store, 1).forecast.wall == pytest.approx(17.0)
    assert plan(steps, store, 2).forecast.wall == pytest.approx(11.0)
    assert plan(steps, store, 4).forecast.wall == pytest.approx(8.0)


@given(
    seconds=st.lists(st.floats(0.1, 50.0), min_size=1, max_size=12), workers=st.integers(1, 6)
)  # fmt: skip
def test_no_schedule_beats_its_bounds(
    seconds: list[float], workers: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = Store(tmp_path_factory.getbasetemp() / "nothing", create=False)
    found = plan([guessed(i, s) for i, s in enumerate(seconds)], empty, workers).forecast
    least = max(max(seconds), sum(seconds) / workers)
    assert least - 1e-9 <= found.wall <= least + max(seconds) + 1e-9
    assert found.low <= found.wall <= found.high


def test_what_a_run_took_is_counted_and_written_down(store: Store) -> None:
    with metered() as meter, Inline() as pool:
        run([guessed(1, 1.0), guessed(2, 1.0)], store, pool)
        meter.per["run"] = 2
    spent = meter.spent()
    assert spent.steps == 2 and spent.per == {"run": 2} and spent.foretold == 2.0
    assert spent.bytes == sum(
        size for key in store.completed() for size, _ in store.manifest(key)["files"].values()
    )
    (row,) = map(json.loads, (store.root / "runs.jsonl").read_text().splitlines())
    assert row["steps"] == 2 and row["foretold"] == 2.0 and row["learned"] == 0
    assert plan([guessed(3, 1.0)], store).forecast.learned == 1, "the next plan has learned"


@pytest.mark.parametrize("writers", [1, 4])
def test_a_log_of_the_store_stays_small_and_keeps_what_is_learned_from(
    writers: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_took, "_MOST_BYTES", 40_000)
    with ThreadPoolExecutor(writers) as pool:
        for n in range(4_000):
            pool.submit(_took.remember, store.root, "took.jsonl", {"row": n, "pad": "x" * 20})
    sizes = {path.name: path.stat().st_size for path in store.root.glob("took*")}
    assert sizes.keys() <= {"took.jsonl", "took.1.jsonl"} and max(sizes.values()) < 41_000
    kept = [row["row"] for row in _took.remembered(store.root, "took.jsonl")]
    assert len(set(kept)) == len(kept) == 400
    assert set(kept) >= set(range(3_600 + 2 * writers, 4_000 - 2 * writers))


def test_a_command_within_another_counts_once(store: Store) -> None:
    with Inline() as pool, metered() as outer:
        for value in range(3):
            with metered() as inner:
                run([guessed(value, 1.0)], store, pool)
            assert inner is outer
    assert outer.steps == 3 and len((store.root / "runs.jsonl").read_text().splitlines()) == 1


def test_nothing_runs_that_cannot_end_within_its_cap(store: Store) -> None:
    cap = parse_cap("2 seconds")
    with pytest.raises(AssayError, match="more than the cap on time") as told, Inline() as pool, metered(cap):
        run([guessed(1, 100.0)], store, pool)
    assert "2 seconds" in str(told.value) and not store.completed()


def test_a_cap_that_is_reached_keeps_what_is_finished(store: Store) -> None:
    slow = [replace(toys.step(value, seconds=0.25), estimate=Estimate(seconds=0.01)) for value in range(9)]
    cap = parse_cap("1 second")
    with pytest.raises(AssayError, match="cap on time is reached") as told, Inline() as pool, metered(cap):
        run(slow, store, pool)
    kept = len(store.completed())
    assert told.value.place == "where.cap" and 0 < kept < 9
    with Inline() as pool:
        assert run(slow, store, pool).done == 9 - kept


@pytest.mark.parametrize(("cap", "field"), [("150 tokens", "tokens"), ("0.00003 MB", "bytes")])
def test_other_caps_stop_before_the_step_that_may_pass_them(store: Store, cap: str, field: str) -> None:
    paid = [
        replace(guessed(v, 0.1), estimate=Estimate(seconds=0.1, tokens=100.0, bytes=20.0)) for v in (1, 2)
    ]
    with metered(parse_cap(cap)) as meter, Inline() as pool:
        meter.sums["tokens"] = 60.0 if field == "tokens" else 0.0
        with pytest.raises(AssayError, match=f"cap on {field}"):
            run(paid, store, pool)


def test_money_is_added_by_currency_and_a_missing_price_is_told(store: Store) -> None:
    steps = [
        replace(toys.step(1), estimate=Estimate(seconds=3600.0, money=2.0, currency="CNY", paid=True)),
        replace(toys.step(2), estimate=Estimate(seconds=0.0, paid=True)),
    ]
    found = plan(steps, store, 1, {"USD": 3.0}).forecast
    assert found.money == {"USD": pytest.approx(3.0), "CNY": 2.0} and found.unpriced == 1


def test_caps_are_read_and_nothing_is_guessed() -> None:
    assert parse_cap("3 hours and 20 USD; 5 GB") == Cap(
        "3 hours and 20 USD; 5 GB", 10800.0, None, 5e9, {"USD": 20.0}
    )
    assert parse_cap("2M tokens").tokens == 2e6 and parse_cap("1 day").seconds == 86400.0
    for wrong in ("much", "-3 hours", "3 hours and 4 hours", "three days", ""):
        with pytest.raises(AssayError, match="cannot parse the cap"):
            parse_cap(wrong)


def test_a_job_without_steps_is_foretold_by_its_last_time(tmp_path: Path) -> None:
    logged(Store(tmp_path), [(10.0, 40.0)], name="score x")
    job = timed(tmp_path, "score x", Estimate(seconds=10.0))
    with pytest.raises(AssayError, match="more than the cap"), metered("5 seconds"), job:
        pass
    with metered("1 hour") as meter, timed(tmp_path, "score x", Estimate(seconds=0.001)) as check:
        check()
        meter.per["row"] = 5
    assert (meter.jobs, meter.steps) == (1, 0) and meter.foretold == pytest.approx(0.004, rel=0.5)
    keys = [line.key for line in meter.spent().said()]
    assert keys == ["cost.after.job", "cost.per.row"]


def test_a_job_ends_at_the_time_of_its_commands_cap(tmp_path: Path) -> None:
    with metered("0.05 seconds"), timed(tmp_path, "score x", Estimate(seconds=0.01)) as check:
        time.sleep(0.1)
        with pytest.raises(AssayError, match="cap on time is reached"):
            check()


def test_calls_of_chat_models_count_at_their_most_until_they_end() -> None:
    with metered("100 tokens and 1 USD") as meter:
        assert meter.over(60, 0.4, "USD") is None
        assert "tokens" in (meter.over(60, 0.4, "USD") or "")
        meter.settle(-40, -0.3, "USD")
        assert meter.over(60, 0.4, "USD") is None and meter.sums["tokens"] == 80
        assert "USD" in (meter.over(5, 0.6, "USD") or "")


def test_a_block_within_a_command_keeps_to_the_commands_cap() -> None:
    with metered("1 hour") as outer, metered("5 seconds", {"USD": 2.0}) as inner:
        assert inner is outer and outer.cap == parse_cap("1 hour") and outer.price == {"USD": 2.0}
    with metered() as outer, metered("5 seconds"):
        assert outer.cap == parse_cap("5 seconds")


def test_a_log_that_was_cut_off_is_read_on(store: Store) -> None:
    logged(store, [(1.0, 2.0)])
    with (store.root / "took.jsonl").open("a") as log:
        log.write('{"name": "toy", "kind": "", "est\n[1]\n{}\n')
    logged(store, [(1.0, 2.0)])
    assert plan([guessed(1, 3.0)], store).forecast.seconds == pytest.approx(6.0, rel=1e-3)
