"""What may be written where, in which format, over what."""

from __future__ import annotations

import json
import os
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import AssayError, Message, Sample
from assay.data import convert, inspect, output, read, replacing, write

PLAIN = [Sample.single("q", "a", type="math", source="s", origin="o:1"), Sample.single("zwei\n", '"x", y')]
TOOLS = '[{"type":"function","function":{"name":"w","parameters":{"type":"object"}}}]'
CALLS = '[{"type":"function","function":{"name":"w","arguments":{"city":"Lima"}}}]'
TALK = Sample(
    (
        Message("user", "warm?", tools=TOOLS),
        Message("assistant", "I look.", tool_calls=CALLS),
        Message("tool", "19"),
        Message("assistant", "No.", learned=False),
        Message("user", "really?"),
        Message("assistant", "19."),
    )
)


def refused(path: Path | str, match: str, **options: object) -> None:
    with pytest.raises(AssayError, match=match):
        output(path, **options)  # type: ignore[arg-type]


def test_places_that_are_no_file_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "a folder")
    refused(f"{tmp_path}/", "a folder")
    refused("/dev/null", "a device")
    os.mkfifo(tmp_path / "pipe.jsonl")
    refused(tmp_path / "pipe.jsonl", "a device or a pipe")
    refused(tmp_path / "absent" / "x.jsonl", "does not exist")
    for name in ("x", "x.txt", "x.parquet.gz", "x.gz", "x.jsonl.rar"):
        refused(tmp_path / name, "no format")
    assert output(tmp_path / "x.md", suffixes=None).path == tmp_path / "x.md"


def test_inputs_are_never_written_over(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"instruction": "q", "output": "a"}\n')
    (tmp_path / "link.jsonl").symlink_to(source)
    for out in (source, tmp_path / "link.jsonl"):
        with pytest.raises(AssayError, match="is an input"):
            convert([str(source)], out, force=True)
    refused(tmp_path / "new.jsonl", "lies in an input folder", inputs=[tmp_path])
    refused(tmp_path / "new.jsonl", "pattern takes", inputs=[f"{tmp_path}/*.jsonl"])
    with pytest.raises(AssayError, match="lies in an input folder"):
        inspect([str(tmp_path)], rejected=tmp_path / "bad.jsonl")
    with pytest.raises(AssayError, match="is an input"):
        convert([str(source)], tmp_path / "o.jsonl", rejected=source)
    assert source.read_text() == '{"instruction": "q", "output": "a"}\n'
    assert output(tmp_path / "report.html", inputs=[tmp_path], suffixes=(".html",)).container == "html"


def test_files_of_others_are_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("mine")
    refused(path, "not written")
    assert path.read_text() == "mine"
    write(PLAIN, path, force=True)
    write(PLAIN[:1], path)
    assert len(path.read_text().splitlines()) == 1
    with path.open("a") as file:
        file.write("edited by hand\n")
    refused(path, "changed since")


def test_a_file_system_without_notes_has_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no notes here")

    monkeypatch.setattr(os, "setxattr", fail, raising=False)
    write(PLAIN, tmp_path / "x.jsonl")
    write(PLAIN, tmp_path / "x.jsonl")
    assert len(list(read(tmp_path))) == 2  # the ledger is no data
    (tmp_path / "x.jsonl").write_text("edited by hand\n")
    refused(tmp_path / "x.jsonl", "changed since")


@pytest.mark.parametrize(
    "name",
    ["x.jsonl", "x.ndjson", "x.json", "x.parquet", "x.jsonl.gz", "x.json.xz", "x.jsonl.bz2", "x.jsonl.zst"],
)
@pytest.mark.parametrize("format", ["messages", "sharegpt", "samples", "alpaca"])
def test_the_name_decides_the_container(name: str, format: str, tmp_path: Path) -> None:
    made = PLAIN if format == "alpaca" else [*PLAIN, TALK]
    assert write(made, tmp_path / name, format) == len(made)  # type: ignore[arg-type]
    reading = read(tmp_path / name)
    found = list(reading)
    assert [getattr(s, "messages", s) for s in found] == [s.messages for s in made]
    assert (found[0].type, found[0].source) == ("math", "s")  # type: ignore[union-attr]
    assert not reading.unused
    wanted = {"parquet": "parquet", "json": "json array"}.get(output(tmp_path / name).container, "jsonl")
    assert reading.detection.container == wanted
    same = tmp_path / f"again.{name}"
    write(made, same, format)  # type: ignore[arg-type]
    assert same.read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz"])
def test_tables_hold_single_turns(name: str, tmp_path: Path) -> None:
    assert write(PLAIN, tmp_path / name, "alpaca") == 2
    assert [getattr(s, "messages", s) for s in read(tmp_path / name)] == [s.messages for s in PLAIN]
    with pytest.raises(AssayError, match="cannot hold `messages`"):
        write(PLAIN, tmp_path / f"m-{name}", "messages")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_conversion_says_what_is_lost_and_names_what_occurs(tmp_path: Path) -> None:
    plain, talk = tmp_path / "plain.jsonl", tmp_path / "talk.jsonl"
    plain.write_text('{"instruction": "q", "input": "", "output": "a", "quality": 3}\n')
    write([TALK], talk)
    found = convert([str(plain)], tmp_path / "a.jsonl", format="alpaca")
    assert (found.rows, dict(found.unused), dict(found.lost)) == (1, {"quality": 1}, {})
    row = json.loads((tmp_path / "a.jsonl").read_text())
    assert (row["source"], row["origin"]) == ("plain", "plain.jsonl:1")
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert info["a"]["columns"] == {"prompt": "instruction", "query": "input", "response": "output"}
    tools = convert([str(talk)], tmp_path / "m.jsonl", format="messages")
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert info["m"]["formatting"] == "openai" and info["m"]["columns"]["tools"] == "tools" and "a" in info
    assert len(tools.configs) == 2
    shared = convert([str(talk)], tmp_path / "s.json", format="sharegpt")
    assert {note.key for note in shared.notes} >= {"note.convert.weight", "note.convert.function_call"}
    assert len(shared.configs) == 1
    packed = convert([str(plain)], tmp_path / "p.jsonl.gz", format="alpaca")
    assert "gzip" in str(packed.notes[0]) and packed.configs == ()
    with pytest.raises(AssayError, match="Alpaca cannot hold"):
        convert([str(talk)], tmp_path / "t.jsonl", format="alpaca")


def test_entries_have_the_columns_of_the_file(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    rows = [
        {"instruction": "q", "output": "a", "system": "s", "history": [["x", "y"]]},
        {"instruction": "q", "output": "b"},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = convert([str(source)], tmp_path / "h.jsonl", format="alpaca")
    columns = json.loads((tmp_path / "dataset_info.json").read_text())["h"]["columns"]
    assert set(columns) == {"prompt", "query", "response", "system", "history"}
    assert "history" in str(found.notes[0])
    present = {key for line in (tmp_path / "h.jsonl").read_text().splitlines() for key in json.loads(line)}
    assert set(columns.values()) <= present


def test_a_malformed_list_of_data_sets_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("{broken")
    (tmp_path / "in.jsonl").write_text('{"instruction": "q", "output": "a"}\n')
    with pytest.raises(AssayError, match=r"dataset_info\.json"):
        convert([str(tmp_path / "in.jsonl")], tmp_path / "o.jsonl")


def _hold(path: Path, started: str, go_on: str) -> None:
    with replacing(path) as partial:
        partial.write_text(str(os.getpid()))
        Path(started).touch()
        while not Path(go_on).exists():
            pass


def test_processes_that_write_one_file_do_not_meet(tmp_path: Path) -> None:
    place, context = tmp_path / "x.txt", get_context("spawn")
    marks = [(str(tmp_path / f"s{i}"), str(tmp_path / f"g{i}")) for i in range(3)]
    runs = [context.Process(target=_hold, args=(place, *mark)) for mark in marks]
    for run in runs:
        run.start()
    while not all(Path(started).exists() for started, _ in marks):
        pass
    assert len([p for p in tmp_path.iterdir() if p.name.endswith(".partial")]) == 3
    runs[0].kill()
    runs[0].join()
    for _, go_on in marks:
        Path(go_on).touch()
    for run in runs[1:]:
        run.join()
        assert run.exitcode == 0
    assert place.read_text() in {str(run.pid) for run in runs[1:]}
    with replacing(place) as partial:
        partial.write_text("last")
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".partial")]


lengths = st.lists(st.integers(0, 400), min_size=1, max_size=60)


@given(found=lengths)
@settings(max_examples=40, deadline=None)
def test_quantiles_are_true(found: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    import numpy as np

    path = tmp_path_factory.mktemp("q") / "x.jsonl"
    path.write_text("".join(json.dumps({"instruction": "q" * (n + 1), "output": "a"}) + "\n" for n in found))
    counted = inspect([str(path)]).prompt_characters
    assert counted is not None
    wanted = np.quantile(np.array(found) + 1, [0.1, 0.5, 0.9])
    assert [counted.p10, counted.p50, counted.p90] == pytest.approx(list(wanted))
    assert sum(n for _, n in counted.bins) == len(found)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"x": 1.50, "y": "\\u00e9"}', '{"x": 1.50, "y": "\\u00e9"}'),
        ("not JSON", '"not JSON"'),
        ("[1]", '"[1]"'),
    ],
)
def test_arguments_that_are_the_text_of_an_object_are_that_object(
    arguments: str, told: str, tmp_path: Path
) -> None:
    calls = json.dumps([{"type": "function", "function": {"name": "w", "arguments": arguments}}])
    turns = (Message("user", "q"), Message("assistant", "", tool_calls=calls), Message("tool", "r"))
    write([Sample((*turns, Message("assistant", "a")))], tmp_path / "x.jsonl", "sharegpt")
    row = json.loads((tmp_path / "x.jsonl").read_text())
    assert row["conversations"][1]["value"] == f'{{"name": "w", "arguments": {told}}}'
    assert all(isinstance(one, Sample) for one in read(tmp_path / "x.jsonl"))


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("appeared", [True, False])
def test_a_kill_at_the_rename_leaves_no_file_that_is_not_ours(
    noted: bool, appeared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    if not noted:
        monkeypatch.setattr(os, "setxattr", refuse)
    place, rename = tmp_path / "a.jsonl", Path.replace
    with output(place).partial() as partial:
        partial.write_text("old\n")

    def killed(self: Path, target: Path) -> Path:
        if target != place or appeared:
            rename(self, target)
        if target == place:
            raise KeyboardInterrupt
        return target

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt), output(place).partial() as partial:
        partial.write_text("new and longer\n")
    assert place.read_text() == ("new and longer\n" if appeared else "old\n")
    output(place)
    place.write_text("changed by hand\n")
    with pytest.raises(AssayError, match="not written"):
        output(place)
