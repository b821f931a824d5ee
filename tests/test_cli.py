"""The command line as a newcomer meets it: help, examples, errors on one screen, JSON."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay import cli
from assay._catalogue import CATALOGUE
from assay.core import TASK_TYPES


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def process(*arguments: str, cwd: Path) -> Done:
    """Run a command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "assay", *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def assay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """``assay(*arguments)``: the command in this process, in ``tmp_path``; starting one takes a second."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        said = capfd.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


Assay = Callable[..., Done]


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*name.split(), "--help"])
    assert ended.value.code in (0, None)
    text = " ".join(capsys.readouterr().out.split())
    assert "Example" in text
    assert f"assay {name}" in text


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['assay', '--help']\n"
        "from assay import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'polars', 'scipy', 'numpy', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("demo", "study", "data", "train", "answer", "curve", "status", "gc"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["study", "run", "absent.yaml"], "absent.yaml"),
        (["study", "report", "absent.json"], "absent.json"),
        (["data", "inspect", "absent.jsonl"], "absent.jsonl"),
        (["data", "show", "absent.jsonl"], "absent.jsonl"),
        (["data", "testbed", "5", "out.jsonl", "--defects", "2"], "--defects"),
        (["curve", "absent.csv"], "absent.csv"),
        (["train", "absent.jsonl", "out"], "absent.jsonl"),
        (["answer", "pocket", "absent.jsonl", "out.jsonl"], "absent.jsonl"),
        (["status", "--store", "absent"], "absent"),
    ],
)
def test_errors_fit_one_screen_and_name_the_value(assay: Assay, arguments: list[str], expected: str) -> None:
    done = assay(*arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) <= 12


def test_a_wrong_command_or_option_says_what_there_is(tmp_path: Path) -> None:
    for arguments in (["studdy"], ["status", "--stor", "x"], ["data", "testbed", "many", "x"]):
        done = process(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_endings_say_what_is_kept(number: signal.Signals, tmp_path: Path, hangups: None) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "assay", "chat", "pocket"], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=tmp_path,
    ) as waiting:  # fmt: skip
        # It waits for its question; until its handler is there a signal would just end it.
        status = Path(f"/proc/{waiting.pid}/status")
        while not int(status.read_text().partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1:
            assert waiting.poll() is None
            time.sleep(0.05)
        # While libraries are imported an interrupt may be swallowed by one of them: a person presses again.
        while waiting.poll() is None:
            waiting.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                waiting.wait(2)
        assert waiting.stderr is not None
        said = waiting.stderr.read()
    assert waiting.returncode == 128 + number
    assert said.strip().splitlines()[-1].startswith("stopped by ") and "Traceback" not in said
    assert "again" in said


@pytest.mark.parametrize("command", [c for c, entry in CATALOGUE.items() if entry.resumes])
def test_what_resumes_says_so(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*words: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build", lambda name: interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main(command.split())
    assert ended.value.code == 130
    assert "run the same command to continue" in capsys.readouterr().err


def test_errors_as_json_have_their_parts(tmp_path: Path) -> None:
    done = process("curve", "absent.csv", "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["value"] == "absent.csv"


def test_a_table_from_another_tool_gives_verdicts(assay: Assay, tmp_path: Path) -> None:
    lines = ["Type,n_train,seed,score"]
    lines += [
        f"closed\xa0qa,{1000 * 2**k},{s},{0.3 + 0.08 * k + 0.004 * s}" for k in range(5) for s in range(3)
    ]
    (tmp_path / "scores.csv").write_text("\n".join(lines), encoding="utf-8")
    done = assay("curve", "scores.csv", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["curves"]
    assert found["type"] == "closed_qa"
    assert found["verdict"]["word"] == "rising"
    shown = assay("curve", "scores.csv")
    assert "closed QA" in shown.stdout
    assert "rising" in shown.stdout


def test_a_table_is_plotted_in_every_form(assay: Assay, tmp_path: Path) -> None:
    lines = ["n_train,seed,score,n_eval", "0,0,0.1,50", "1000,7,nan,50"]
    lines += [f"{1000 * 2**k},{s},{0.3 + 0.08 * k + 0.004 * s},50" for k in range(5) for s in range(3)]
    (tmp_path / "scores.csv").write_text("\n".join(lines), encoding="utf-8")
    for name in ("plot.html", "plot.svg", "plot.png", "plot.json"):
        done = assay("curve", "scores.csv", "--plot", name)
        assert done.returncode == 0, done.stderr
    assert "points left out: 1 (no training samples)" in done.stdout
    page = (tmp_path / "plot.html").read_text()
    assert "<script src=" not in page and 'id="page-data"' in page and "Keep adding data" in page
    svg = (tmp_path / "plot.svg").read_text()
    assert svg.startswith("<svg") and "training samples" in svg and "points left out" in svg
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    wrong = assay("curve", "scores.csv", "--plot", "plot.bmp")
    assert wrong.returncode == 1 and ".svg" in wrong.stderr
    none = assay("curve", "scores.csv", "--reach", "9")
    assert none.returncode == 1 and "2 to 4" in none.stderr


def test_power_is_told_before_any_run(assay: Assay) -> None:
    done = assay("curve", "power", "1000", "2000", "4000", "8000", "--n-eval", "400", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 0 < found["detectable"] < found["detectable_holm"] < 0.2
    assert 0 <= found["p_rising"] <= 1


def test_the_papers_own_table_supports_what_it_can(assay: Assay, shared: Path) -> None:
    table = shared / "data/belle/paper_figure1_scores.csv"
    done = assay("curve", str(table), "--smallest-gain", "0.02", "--json")
    curves = {c["type"]: c for c in json.loads(done.stdout)["curves"]}
    assert len(curves) == 13
    assert curves["brainstorming"]["verdict"]["word"] == "plateau"
    assert curves["math"]["verdict"]["word"] == "undecided"
    advice = [c["verdict"]["next_runs"] for c in curves.values() if c["verdict"]["next_runs"] is not None]
    assert all(runs["chance"] >= 0.5 for runs in advice), "nothing that is unlikely to settle it is advised"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n_train,score\n1000,high\n", "high"),
        ("weight,score\n1,2\n", "n_train"),
        ("n_train,score\n-5,0.5\n", "-5"),
        ("n_train,score\n,0.5\n", "n_train"),
    ],
)
def test_bad_tables_are_refused_with_the_row(assay: Assay, tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    done = assay("curve", "t.csv")
    assert done.returncode == 1
    assert expected in done.stderr


def test_the_testbed_can_be_written_inspected_converted_and_shown(assay: Assay, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        done = assay(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    written = run("data", "testbed", "48", "pool.jsonl", "--defects", "0.3")
    assert written["rows"] == 48
    planted = (tmp_path / "pool.jsonl.defects.jsonl").read_text().splitlines()
    assert len(planted) == sum(written["counts"].values()) > 5
    inspection = run("data", "inspect", "pool.jsonl")
    assert inspection["samples"] + inspection["rejected"] == 48
    assert set(inspection["by_type"]) == set(TASK_TYPES)
    (tmp_path / "out").mkdir()
    converted = run("data", "convert", "pool.jsonl", "--out", "out/alpaca.json", "--format", "alpaca")
    assert converted["rows"] == inspection["samples"]
    shown = run("data", "show", "pool.jsonl", "--row", "3")
    learned = "".join(text for text, counted in shown["runs"] if counted)
    assert learned
    assert "<|assistant|>" not in learned
    text = assay("data", "show", "pool.jsonl", "--row", "3").stdout
    assert "of them in the loss" in text


def test_training_and_answering_once(assay: Assay, tmp_path: Path) -> None:
    for n, name, split in ((64, "pool.jsonl", "train"), (24, "items.jsonl", "eval")):
        assert assay("data", "testbed", str(n), name, "--split", split).returncode == 0
    trained = assay("train", "pool.jsonl", "model", "--json")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["samples"] == 64
    again = assay("train", "pool.jsonl", "model", "--json")
    assert json.loads(again.stdout)["reused"]
    losses = []
    for model in ("pocket", "model/model"):
        done = assay("answer", model, "items.jsonl", "a.jsonl", "--max-new-tokens", "8", "--json")
        assert done.returncode == 0, done.stderr
        losses.append(json.loads(done.stdout)["loss"])
    assert losses[1] < losses[0]
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    assert all(0 <= row["score"] <= 1 for row in rows)


def _pool(folder: Path) -> Path:
    rows = [
        {
            "instruction": f"Tell me about topic {i} and its {i * 7} parts",
            "input": "",
            "output": f"Topic {i}. " + "It is " * i,
        }
        for i in range(60)
    ]
    rows += [rows[5], {"instruction": "Nothing?", "input": "", "output": "?!"}]
    lines = [json.dumps(row) for row in rows] + ["{broken"]
    file = folder / "pool.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_a_pool_is_scored_cleaned_and_selected_from(assay: Assay, tmp_path: Path) -> None:
    _pool(tmp_path)
    done = assay("score", "pool.jsonl", "--out", "s.parquet", "--json")
    assert done.returncode == 0, done.stderr
    scored = json.loads(done.stdout)
    assert scored["samples"] == 62 and {i["name"] for i in scored["indicators"]} >= {"mtld", "refusal"}
    assert "mtld" in assay("score", "pool.jsonl", "--out", "s.parquet").stdout

    done = assay("clean", "pool.jsonl", "--out", "kept.jsonl", "--to", "50", "--by", "len_out", "--json")
    assert done.returncode == 0, done.stderr
    cleaned = json.loads(done.stdout)
    receipts = [json.loads(line) for line in (tmp_path / "kept.jsonl.removed.jsonl").read_text().splitlines()]
    assert cleaned["rows"] == 63 and cleaned["kept"] == 50 and len(receipts) == 13
    assert {"rejected", "broken", "exact", "surplus"} <= {r["rule"] for r in receipts}
    assert next(r for r in receipts if r["rule"] == "rejected")["origin"].endswith(":63")
    kept = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert min(len(row["messages"][-1]["content"]) for row in kept) > 30, "the best by length stay"

    done = assay("select", "kept.jsonl", "--out", "best.jsonl", "--n", "10", "--by", "len_out", "--json")
    assert done.returncode == 0, done.stderr
    assert [f["rule"] for f in json.loads(done.stdout)["files"]] == ["top", "random", "longest"]
    best = [json.loads(line) for line in (tmp_path / "best.jsonl").read_text().splitlines()]
    lengths = [len(row["messages"][-1]["content"]) for row in best]
    assert lengths == sorted(lengths, reverse=True) and len(best) == 10
    assert len((tmp_path / "best.random.jsonl").read_text().splitlines()) == 10


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("score", "pool.jsonl", "--out", "s.csv"), ".parquet"),
        (("score", "pool.jsonl", "--out", "s.parquet", "--indicators", "beauty"), "mtld"),
        (("clean", "pool.jsonl", "--out", "k.jsonl", "--near", "-1"), "at most 1"),
        (("select", "pool.jsonl", "--out", "k.jsonl", "--n", "9999"), "1 to 62"),
        (("select", "pool.jsonl", "--out", "k.jsonl", "--n", "3"), "score"),
        (("clean", "absent.jsonl", "--out", "k.jsonl"), "absent.jsonl"),
    ],
)
def test_jobs_on_pools_say_what_is_wrong(
    assay: Assay, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    _pool(tmp_path)
    done = assay(*arguments)
    assert done.returncode == 1 and expected in done.stderr
