"""Whatever file a command is given, it ends in one error with a place, or does what it can and says it."""

from __future__ import annotations

import inspect
import random
from pathlib import Path

import pytest

from assay import cli
from assay._catalogue import CATALOGUE

NONSENSE = {
    "missing": None,
    "empty": b"",
    "noise.jsonl": random.Random(0).randbytes(3000),
    "object.json": b"{}",
    "list.json": b"[1,2,3]",
    "null.json": b"null",
    "table.csv": b"a,b\n1,2\n",
    "broken.yaml": b"name: [\n",
    "short.yaml": b"name: x\nbase: pocket\n",
    "rows.jsonl": b'{"instruction":"a","output":"b"}\n' * 3,
    "others.jsonl": b'{"foo":1}\n' * 3,
    "bad.parquet": b"PAR1" + b"x" * 100 + b"PAR1",
}
WAITS = {"serve", "chat", "annotate", "demo"}
"""Commands that go on until they are stopped, or take no file."""


def arguments(command: str, place: str) -> list[str]:
    """Return a place for everything that a command must be given."""
    found = []
    for name, parameter in inspect.signature(CATALOGUE[command].load()).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            option = f"--{name.rstrip('_').replace('_', '-')}"
            value = "made.jsonl" if name == "out" else place
            found += [option, value] if parameter.kind is parameter.KEYWORD_ONLY else [value]
    return found


@pytest.mark.long  # every command with every file
@pytest.mark.parametrize("command", [name for name in CATALOGUE if name not in WAITS])
def test_nonsense_is_told_and_never_breaks(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, content in NONSENSE.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    for place in (*NONSENSE, "folder"):
        with pytest.raises(SystemExit) as ended:
            cli.main([*command.split(), *arguments(command, place)])
        told = capsys.readouterr()
        assert told.out.strip() or told.err.strip(), place
        if ended.value.code:
            assert "error: " in told.err or "Error" in told.err, f"{place}: {told.err[-300:]}"
        assert "Traceback" not in told.err, place


@pytest.mark.parametrize("command", ["data convert", "score", "clean"])
def test_what_is_made_of_nothing_is_no_result(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that are all rejected give an error and no output."""
    monkeypatch.chdir(tmp_path)
    Path("others.jsonl").write_bytes(NONSENSE["others.jsonl"] or b"")
    made = "made.parquet" if command == "score" else "made.jsonl"
    with pytest.raises(SystemExit, match="1"):
        cli.main([*command.split(), "others.jsonl", "--out", made])
    assert "there is no sample" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["others.jsonl"]
