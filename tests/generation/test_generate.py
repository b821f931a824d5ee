"""Generation against a scripted server over real HTTP: what is planted is taken, nothing is paid twice."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import generation
from assay.core import AssayError, Sample
from assay.data import language_of, read, synthetic, write
from assay.generation import FilterRules, GenerateReport
from assay.llm import Budget, Chat, ChatConfig
from assay.view import print_value

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "llm"))

from chat_server import Running, serving  # noqa: E402

MODEL = "openai-api/scripted/writer"
# Tasks of the testbed share their wording: at self-instruct's 0.7 most of them are alike.
LOOSE = FilterRules(novelty=0.9)


def writer(**options: Any) -> Any:
    return serving(script="task_writer:answer", script_path=str(HERE), **options)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with writer() as running:
        yield running


def run(
    folder: Path,
    server: Running,
    n: int | None,
    language: str,
    *,
    chat: Mapping[str, Any] | None = None,
    **given: Any,
) -> GenerateReport:
    folder.mkdir(parents=True, exist_ok=True)
    door = ChatConfig(MODEL, server.url, calls=folder / "calls", **(chat or {}))
    given = {"filters": LOOSE, "window": 6, "per_request": 6} | given
    return assay.generate(out=folder / "new.jsonl", n=n, language=language, writer=door, **given)


def receipts(report: GenerateReport) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(report.receipts).read_text("utf-8").splitlines()]


def rows(report: GenerateReport) -> list[Sample]:
    found = list(read(report.out))
    assert all(isinstance(row, Sample) for row in found)
    return [row for row in found if isinstance(row, Sample)]


def planted(text: object) -> str | None:
    found = re.search("⟦(.+?)⟧", str(text))
    return found[1] if found else None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_planted_is_taken_and_the_rest_is_accounted_for(
    tmp_path: Path, server: Running, language: str
) -> None:
    report = run(tmp_path, server, 50, language)
    samples = rows(report)
    assert report.stopped == "enough" and report.kept == len(samples) == 50
    assert not any(planted(s.answer) for s in samples)
    assert all(s.type and s.language == language and s.source == "generated" and s.answer for s in samples)
    assert all(language_of(s.prompt[-1].content) in (language, None) for s in samples)
    gone = receipts(report)
    kinds = Counter((planted(row["output"]), row["rule"]) for row in gone if "output" in row)
    for (plant, rule), count in kinds.items():
        assert plant in (None, rule) or rule == "surplus", (plant, rule, count)
    assert {"keyword", "length", "language", "exact"} <= {plant for plant, _ in kinds}
    # Every task of every reply is in the file or has a receipt.
    unread = sum(row["rule"] in ("cut", "unread") for row in gone)
    assert report.tasks == 50 + len(gone) - unread - report.failed
    assert sum(report.rejected.values()) == len(gone) - report.failed
    assert report.replies == report.requests == len(list_asked(tmp_path))
    assert report.tokens_in > 0 and report.money == 0 and report.tokens_per_kept
    found = report.diversity
    assert found is not None and found.tasks == 50 and 0 < found.distinct_1 < found.distinct_2 <= 1
    assert found.novelty[0] > 0 and found.n_verbs > 3


def list_asked(folder: Path) -> list[generation.Asked]:
    work = folder / "new.jsonl.work"
    return [one for done in generation.read_rounds(work) for one in done.asked if one.step == "generate"]


def test_partners_and_scores_of_what_is_alike(tmp_path: Path, server: Running) -> None:
    report = run(tmp_path, server, 40, "zh")
    kept = rows(report)
    from rapidfuzz.distance import LCSseq

    checked = 0
    for row in receipts(report):
        found = re.fullmatch(r"new\.jsonl:(\d+)", row["partner"] or "")
        if row["rule"] == "novelty" and found:
            other = kept[int(found[1]) - 1].prompt[-1].content
            texts = [re.findall(r"[a-z0-9]+|[一-鿿]", t.lower()) for t in (other, row["instruction"])]
            score = 2 * LCSseq.similarity(*texts) / sum(map(len, texts))
            assert score == pytest.approx(row["score"], abs=1e-3) and score >= 0.9 - 1e-9
            checked += 1
    assert checked > 0


def test_cut_replies_lose_their_last_block_with_a_receipt(tmp_path: Path, server: Running) -> None:
    report = run(tmp_path, server, 24, "en", chat={"max_tokens": 230})
    cut = [one for one in list_asked(tmp_path) if one.ended == "length"]
    assert cut and report.rejected["cut"] >= 1
    assert {row["request"] for row in receipts(report) if row["rule"] == "cut"} <= {one.number for one in cut}
    assert all(s.answer for s in rows(report))


def test_the_result_is_the_same_at_any_concurrency_and_with_any_faults(
    tmp_path: Path, server: Running
) -> None:
    first = run(tmp_path / "a", server, 40, "zh", per_request=3, chat={"connections": 1})
    faults = {"error": 0.1, "reset": 0.1, "truncated": 0.1, "slow": 0.2}
    with writer(faults=faults, seed=4, slow_seconds=0.3) as shaky:
        second = run(tmp_path / "b", shaky, 40, "zh", per_request=3, chat={"connections": 8})
        assert {"error", "reset", "truncated"} & set(shaky.kinds())
    assert Path(first.out).read_bytes() == Path(second.out).read_bytes()
    assert Path(first.receipts).read_bytes() == Path(second.receipts).read_bytes()


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_generate import run
from chat_server import Running
server = Running(None, int(sys.argv[2]), Path("none"))
run(Path(sys.argv[1]), server, 30, sys.argv[3], evolve=1)
"""


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.long
def test_killed_it_goes_on_and_pays_for_nothing_twice(tmp_path: Path, language: str) -> None:
    with writer() as calm:
        whole = run(tmp_path / "whole", calm, 30, language, evolve=1)
    with writer(latency=0.05) as server:
        command = [
            sys.executable,
            "-c",
            SCRIPT.format(here=str(HERE)),
            str(tmp_path / "cut"),
            str(server.port),
        ]
        journal = tmp_path / "cut" / "new.jsonl.work" / "journal.jsonl"
        lost = 0
        for kill_at in (1, 4):
            process = subprocess.Popen([*command, language], start_new_session=True)
            while process.poll() is None and rounds_in(journal) < kill_at:
                time.sleep(0.01)
            time.sleep(0.06)
            assert process.poll() is None, "it was to be killed in the middle"
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(0.2)
            # What was on its way when it was killed, nobody has.
            lost = server.answered_well().total() - stored(tmp_path / "cut" / "calls")
        with journal.open("ab") as torn:
            torn.write(b'{"entry": {"request": 1')
        again = run(tmp_path / "cut", server, 30, language, evolve=1)
        assert server.answered_well().total() == stored(tmp_path / "cut" / "calls") + lost
    assert Path(again.out).read_bytes() == Path(whole.out).read_bytes()
    assert Path(again.receipts).read_bytes() == Path(whole.receipts).read_bytes()
    assert replace(again, out="", receipts="") == replace(whole, out="", receipts="")


def stored(calls: Path) -> int:
    with closing(sqlite3.connect(calls / "calls.sqlite")) as file:
        return int(file.execute("SELECT count(*) FROM reply").fetchone()[0])


def rounds_in(journal: Path) -> int:
    return journal.read_bytes().count(b'{"round": ') if journal.exists() else 0


def test_run_again_it_asks_nothing(tmp_path: Path) -> None:
    with writer() as server:
        first = run(tmp_path, server, 12, "en")
        asked = len(server.log())
        again = run(tmp_path, server, 12, "en")
        assert len(server.log()) == asked and again == first
        more = run(tmp_path, server, 30, "en")
        assert more.kept == 30 and max(server.answered_well().values()) == 1
        early = Path(first.out).read_text("utf-8")
        assert len(early.splitlines()) == 30


def test_the_budget_is_never_passed_and_more_of_it_goes_further(tmp_path: Path) -> None:
    cap, longest = 12_000, {"max_tokens": 1000}
    with writer() as server:
        first = run(tmp_path, server, 60, "zh", chat={**longest, "budget": f"{cap} tokens"})
        assert first.stopped == "budget" and 0 < first.kept < 60
        assert server.tokens() <= cap
        assert any(row["rule"] == "failed" and "budget" in row["detail"] for row in receipts(first))
        spent = server.tokens()
        same = run(tmp_path, server, 60, "zh", chat={**longest, "budget": f"{cap} tokens"})
        assert server.tokens() <= cap and same.kept >= first.kept
        whole = run(tmp_path, server, 60, "zh", chat=longest)
        assert whole.stopped == "enough" and whole.kept == 60
        assert max(server.answered_well().values()) == 1 and server.tokens() > spent
        fresh = run(tmp_path / "fresh", server, 60, "zh", chat=longest)
    assert Path(fresh.out).read_bytes() == Path(whole.out).read_bytes()


def test_quotas_are_met_and_asked_for(tmp_path: Path, server: Running) -> None:
    report = run(tmp_path, server, None, "zh", types=["数学=5", "translation=7"])
    assert report.types == {"translation": 7, "math": 5} and report.wanted == 12
    assert set(Counter(s.type for s in rows(report))) == {"math", "translation"}


def test_evolution_adds_and_what_adds_nothing_goes(tmp_path: Path, server: Running) -> None:
    report = run(tmp_path, server, 40, "en", evolve=1, window=12)
    entries = [e for done in generation.read_rounds(tmp_path / "new.jsonl.work") for e in done.entries]
    held = [e for e in entries if e.held]
    evolved = [e for e in entries if e.kept and e.parent is not None]
    assert report.kept == 40 and len(evolved) == report.evolved > 3
    for entry in evolved:
        assert entry.parent is not None
        parent = held[entry.parent]
        assert entry.generation == 1 and parent.generation == 0 and parent.kept
        assert entry.task.type == parent.task.type and entry.task.output.startswith("The answer")
        assert len(entry.task.instruction) > len(parent.task.instruction)
    rules = {e.rejection.rule for e in entries if e.rejection and e.parent is not None}
    assert {"no_gain", "copied", "refusal"} <= rules
    refused = [e for e in entries if e.rejection and e.rejection.rule == "refusal"]
    assert all(e.held and "sorry" in e.task.output for e in refused)
    assert not any("sorry" in (s.answer or "") for s in rows(report))


def test_all_answers_can_be_asked_for_apart(tmp_path: Path, server: Running) -> None:
    report = run(tmp_path, server, 10, "zh", answers="all")
    assert all((s.answer or "").startswith("答案是第") for s in rows(report))
    assert report.kept == 10


def test_pools_and_evaluation_sets_are_not_repeated(tmp_path: Path, server: Running) -> None:
    first = run(tmp_path / "a", server, 20, "en")
    items = [p.sample for p in synthetic.generate(3, seed=1, languages=["en"])]
    write(items, tmp_path / "eval.jsonl", "samples")
    (tmp_path / "bad.jsonl").write_text('{"instruction": "", "output": "x"}\n', "utf-8")
    evaluation = [str(tmp_path / "eval.jsonl"), str(tmp_path / "bad.jsonl")]
    second = run(tmp_path / "b", server, 20, "en", against=[first.out], evaluation=evaluation)
    assert not {s.id for s in rows(first)} & {s.id for s in rows(second)}
    gone = [row for row in receipts(second) if re.match(r"new\.jsonl:", row["partner"] or "")]
    assert any(row["rule"] in ("exact", "novelty", "near") for row in gone)
    assert any("bad.jsonl" in str(note) for note in second.notes)


def test_another_generation_in_the_folder_is_refused(tmp_path: Path, server: Running) -> None:
    run(tmp_path, server, 6, "en")
    with pytest.raises(AssayError, match="another generation"):
        run(tmp_path, server, 6, "zh")
    with pytest.raises(AssayError, match="another generation"):
        run(tmp_path, server, 6, "en", seed=1)


def test_a_server_that_fails_stops_it_and_a_better_one_goes_on(tmp_path: Path) -> None:
    with writer(faults={"error": 1.0}) as broken:
        report = run(tmp_path, broken, 8, "en", chat={"attempts": 1})
    assert report.stopped == "failed" and report.kept == 0 and report.diversity is None
    assert {row["rule"] for row in receipts(report)} == {"failed"}
    with writer() as sound:
        assert run(tmp_path, sound, 8, "en", chat={"attempts": 1}).kept == 8


def test_a_writer_without_ideas_stops_it(tmp_path: Path, server: Running) -> None:
    seeds = tmp_path / "seeds.jsonl"
    # German is asked for, English comes.
    seeds.write_text('{"instruction": "Nenne drei Flüsse.", "output": "Elbe", "language": "de"}\n', "utf-8")
    report = run(tmp_path, server, 40, "de", window=1, seeds=[str(seeds)])
    # A few words may be of any language.
    assert report.stopped == "dry" and report.kept <= 8, report.kept
    assert report.rejected["language"] > 10 and report.kept_per_task < 0.1


def test_seeds_are_localised_where_the_language_has_none(tmp_path: Path, server: Running) -> None:
    seeds = generation.own_seeds("en")[:30]
    prompts = generation.Prompts("en")
    filters = generation.Filters(FilterRules(builtin=False, shortest=0), "de", prompts)
    with Chat(MODEL, base_url=server.url, calls=tmp_path / "calls", budget=Budget()) as chat:
        found = generation.localise(chat, seeds, "de", filters, prompts)
        again = generation.localise(chat, seeds, "de", filters, prompts)
        assert again.seeds == found.seeds and chat.spent.calls == 30
        mixed = [*seeds[:2], replace(seeds[2], language="de")]
        assert generation.localise(chat, mixed, "de", filters, prompts).seeds[-1] == mixed[-1]
    assert len(found.seeds) + len(found.lost) == 30 and len(found.seeds) > 15 and found.lost
    assert all(t.language == "de" and t.instruction.startswith("Wie ist das") for t in found.seeds)
    assert {t.name.removesuffix("@de") for t in found.seeds} < {t.name for t in seeds}
    assert {"unread"} <= {rejection.rule for _, rejection in found.lost} <= {"unread", "language", "copied"}


def test_the_function(tmp_path: Path, server: Running) -> None:
    from rich.console import Console

    writer = ChatConfig(MODEL, server.url, calls=tmp_path / "calls")
    with assay.quiet():
        report = assay.generate(
            out=tmp_path / "new.jsonl", n=8, language="zh", writer=writer, filters=FilterRules(bm25=18.0)
        )
        with pytest.raises(AssayError, match="--n"):
            assay.generate(out=tmp_path / "other.jsonl", writer=writer)
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    print_value(report, console)
    assert "8 of 8 wanted (enough)" in console.export_text()


def test_seeds_that_cannot_be_localised_are_said(tmp_path: Path, server: Running) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text('{"instruction": "Name three rivers of Europe.", "output": "Elbe"}\n' * 3, "utf-8")
    with pytest.raises(AssayError, match="no seed task could be localized"):
        run(tmp_path, server, 6, "fr", seeds=[str(seeds)])


def test_interrupted_it_writes_what_it_has(tmp_path: Path) -> None:
    with writer(latency=0.05) as server:
        folder = tmp_path / "cut"
        command = [sys.executable, "-c", SCRIPT.format(here=str(HERE)), str(folder), str(server.port), "zh"]
        journal = folder / "new.jsonl.work" / "journal.jsonl"
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        while process.poll() is None and rounds_in(journal) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    entries = [e for done in generation.read_rounds(folder / "new.jsonl.work") for e in done.entries]
    kept = sum(entry.kept for entry in entries)
    assert 0 < kept < 30
    assert len(list(read(str(folder / "new.jsonl")))) == kept
    gone = (folder / "new.jsonl.receipts.jsonl").read_text("utf-8").splitlines()
    assert len(gone) == sum(entry.rejection is not None for entry in entries)
