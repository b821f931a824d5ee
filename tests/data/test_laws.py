from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import AssayError, Message, Sample
from assay.data import (
    Dataset,
    convert,
    inspect,
    language_of,
    normalise,
    read,
    words,
    write,
    write_dataset,
)

text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
).filter(lambda t: t.strip())
turn_pairs = st.lists(st.tuples(text, text), min_size=1, max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> Sample:
    turns = [Message("system", draw(text))] if draw(st.booleans()) else []
    for asked, answered in draw(turn_pairs):
        turns += [Message("user", asked), Message("assistant", answered)]
    return Sample(tuple(turns))


@pytest.mark.parametrize("format", ["messages", "alpaca", "sharegpt", "samples"])
@given(made=st.lists(conversations(), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_again(
    format: str, made: list[Sample], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("w") / "x.jsonl"
    assert write(made, path, format) == len(made)  # type: ignore[arg-type]
    assert [getattr(s, "messages", s) for s in read(path)] == [s.messages for s in made]


@given(made=st.lists(conversations(), max_size=12), shard=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_dataset_keeps_everything_and_order(
    made: list[Sample], shard: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("d")
    assert write_dataset(made, folder / "a", shard_rows=shard) == len(made)
    dataset = Dataset(folder / "a")
    assert list(dataset) == made
    assert dataset.column("id").to_pylist() == [s.id for s in made]
    picked = list(range(len(made)))[::-1][::2]
    assert dataset.take(picked) == [made[i] for i in picked]
    write_dataset(made, folder / "b", shard_rows=shard)
    for one, two in zip(sorted((folder / "a").iterdir()), sorted((folder / "b").iterdir()), strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_a_conversation_that_alpaca_cannot_hold_is_refused(tmp_path: Path) -> None:
    odd = Sample((Message("user", "a"), Message("user", "b"), Message("assistant", "c")))
    with pytest.raises(AssayError, match="Alpaca cannot hold"):
        write([odd], tmp_path / "x.jsonl", "alpaca")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["messages", "alpaca", "sharegpt"])
def test_conversion_leaves_training_configs(tmp_path: Path, format: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"instruction": "a", "output": "b"}) + "\nbroken\n")
    out = tmp_path / "out"
    out.mkdir()
    found = convert([str(source)], out / "train.jsonl", format=format, rejected=tmp_path / "r.jsonl")  # type: ignore[arg-type]
    assert (found.rows, found.rejected) == (1, 1)
    assert json.loads((tmp_path / "r.jsonl").read_text())["line"] == 2
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert info["train"]["file_name"] == "train.jsonl"
    axolotl = yaml.safe_load((tmp_path / "out" / "train.axolotl.yaml").read_text())
    assert axolotl["datasets"][0]["path"] == "train.jsonl"


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("What is the capital of France?", "en"),
        ("Give me a list", "en"),
        ("写一首诗", "zh"),
        ("用Python写一个函数", "zh"),
        ("こんにちは、元気ですか", "ja"),
        ("안녕하세요", "ko"),
        ("Привет, как дела?", "ru"),
        ("Was ist die Hauptstadt von Frankreich?", "de"),
        ("12 + 34 = ?", None),
        ("xyzzy plugh", None),
    ],
)
def test_languages(said: str, language: str | None) -> None:
    assert language_of(said) == language


def test_words_in_chinese_and_english() -> None:
    assert words("我们喜欢自然语言处理。") == ["我们", "喜欢", "自然语言", "处理"]
    assert words("Don't stop, 数据2号!") == ["Don't", "stop", "数据", "2", "号"]
    assert normalise("Ｈｅｌｌｏ， 世 界!") == "hello世界"


def test_inspection_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [{"instruction": "a b", "output": "x" * n, "type": "math"} for n in (1, 1, 10, 100)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "{broken\n{also broken\n")
    found = inspect([str(path)], rejected=tmp_path / "r.jsonl")
    assert (found.samples, found.duplicates, found.rejected) == (4, 1, 2)
    assert found.by_type == {"math": 4}
    assert found.answer_characters is not None
    assert (found.answer_characters.shortest, found.answer_characters.longest) == (1, 100)
    assert sum(n for _, n in found.answer_characters.bins) == 4
    assert sum(found.rejected_by_reason.values()) == 2
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2


COUNTS = {
    "alpaca_en_52k/alpaca_data.jsonl.gz": (52_002, 28),
    "belle/eval_set.jsonl": (1_000, 0),
    "belle/zh_seed_tasks.jsonl": (175, 0),
    "self_instruct/user_oriented_instructions.jsonl.gz": (252, 0),
    "alpaca_zh/sharegpt_zh_1k.jsonl.gz": (1_000, 7),
    "other_pools/cot.jsonl.gz": (25_970, 0),
    "eval_sets/ceval.jsonl.gz": (13_948, 0),
}


@pytest.mark.parametrize("place", COUNTS)
def test_real_data_reads_with_every_row(shared: Path, place: str) -> None:
    rows, rejected = COUNTS[place]
    found = list(read(shared / "data" / place))
    assert len(found) == rows
    assert sum(not isinstance(row, Sample) for row in found) == rejected


def test_real_evaluation_has_belle_s_types(shared: Path) -> None:
    items = [s for s in read(shared / "data" / "belle" / "eval_set.jsonl") if isinstance(s, Sample)]
    counts = {kind: sum(s.type == kind for s in items) for kind in {s.type for s in items}}
    assert counts == {
        "open_qa": 285, "brainstorming": 179, "rewrite": 131, "generation": 98, "math": 75,
        "classification": 65, "closed_qa": 52, "summarization": 40, "code": 38, "extraction": 37,
    }  # fmt: skip
    assert {s.language for s in items} <= {"zh", "en", None}
