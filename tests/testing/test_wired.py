"""Plug-ins of every kind where our own are looked up: files, indicators, selections, a whole study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from assay import data, indicators, judging, selection, study
from assay.core import AssayError, Processes, Sample
from assay.curves import free_form
from assay.model import TRAINERS, trainer
from assay.plan import Inline, parse_pool, quiet
from packages import install


@pytest.fixture(autouse=True)
def on_the_path(my_plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(my_plugins))


def qa(count: int, prompt: str = "Say the number") -> str:
    pairs = [f"Q: {prompt} {n}.\nA: it is {n}{'?' * (n % 4)}" for n in range(count)]
    return "\n\n".join([*pairs[:5], "no question", *pairs[5:]]) + "\n"


def test_a_study_with_plugins_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "pool.qa").write_text(qa(60), encoding="utf-8")
    (tmp_path / "evaluation.qa").write_text(
        qa(8, "What comes next after the following one, in words:"), encoding="utf-8"
    )
    settings = {
        "name": "plugins",
        "base": "pocket",
        "pool": "pool.qa",
        "evaluation": "evaluation.qa",
        "ladder": {"rungs": [8, 16, 32], "seeds": 1},
        "recipe": {"preset": "testbed", "batch_size": 8, "trainer": "noted"},
        "arms": {"middle": {"rule": "middle", "by": "questions"}},
        "measure": {"method": "one-sentence", "metrics": ["words"], "max_new_tokens": 8},
        "baselines": False,
        "where": {"pool": "threads:1", "store": str(tmp_path / "store"), "out": str(tmp_path / "report")},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with quiet():
        result = study.run(tmp_path / "study.yaml")

    (source,) = result.pool.sources
    assert (source.rows, source.kept, source.rejected) == (61, 60, 1)
    assert source.detected.startswith("qa: read by entry point qa = my_plugins:QA of my-plugins 0.1.0")
    assert {point.metric for point in result.points} == {"score", "words", "loss", "bits_per_byte"}
    assert {run.arm for run in result.runs} == {"random", "middle"}
    assert any("trained by my-plugins" in str(note) for note in result.notes)
    words = [curve for curve in result.curves if curve.metric == "words"]
    assert {curve.arm for curve in words if curve.band is not None} | {
        curve.arm for curve in words if curve.refused == "constant"
    } == {"random", "middle"}
    assert any(curve.band is not None for curve in words)

    identity = {}
    for place in (tmp_path / "store" / "objects").glob("*/*/manifest.json"):
        manifest = json.loads(place.read_text(encoding="utf-8"))
        identity.setdefault(manifest["name"], json.dumps(manifest["config"]))
        if manifest["name"] == "order" and "middle" in manifest["config"]["rule"]:
            identity["order"] = json.dumps(manifest["config"])
    for name in ("read-pool", "read-evaluation", "score", "order", "train", "judge", "metrics"):
        assert "my-plugins 0.1.0 (" in identity[name], name


def test_a_reader_is_found_in_files_and_folders_and_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.qa").write_text(qa(8), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"instruction": "Add.", "output": "2"}\n', encoding="utf-8")
    rows = list(data.read(tmp_path))
    assert [type(row).__name__ for row in rows].count("Rejected") == 1 and len(rows) == 10
    assert {row.source for row in rows if isinstance(row, Sample)} == {"a", "b"}
    assert data.reader_identity(str(tmp_path / "b.jsonl")) == ""
    assert data.reader_identity(str(tmp_path)).startswith("my-plugins 0.1.0 (version 1, code ")
    (forced,) = data.read(tmp_path / "b.jsonl", format="qa")
    assert isinstance(forced, data.Rejected) and "does not know the file" in forced.reason


def test_files_of_ours_are_never_a_plugins(tmp_path: Path) -> None:
    place = tmp_path / "rows.qa"
    place.write_text('{"instruction": "Add.", "output": "2"}\n', encoding="utf-8")
    assert data.read(place).detection.format == "alpaca"


def test_lookups_know_ours_and_theirs() -> None:
    assert indicators.find("questions") is indicators.PLUGINS["questions"]
    assert indicators.version("questions").startswith("my-plugins 0.1.0 (version 1, ")
    assert indicators.version("mtld") == "1" and indicators.direction("questions") == -1
    assert free_form("hyperbola").name == "hyperbola" and trainer("noted") is TRAINERS["noted"]
    assert selection.needs("middle") == ("score",) and parse_pool("threads:3").size == 3
    assert isinstance(parse_pool("inline"), Inline)
    judged = judging.judge(Sample.single("2 + 2?", "4"), "", "one-sentence")
    assert (judged.score, judged.reason) == (None, "no answer")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"arms": {"x": {"rule": "muddle"}}}, "arms.x.rule"),
        ({"measure": {"metrics": ["speed"]}}, "measure.metrics[0]"),
        ({"measure": {"method": "mood"}}, "measure.method"),
        ({"measure": {"metrics": ["words"], "answers": False}}, "measure.answers"),
        ({"measure": {"metrics": ["score"]}}, "measure.metrics[0]"),
    ],
)
def test_names_that_nothing_has_are_refused_before_anything_runs(
    change: dict[str, object], place: str
) -> None:
    plain = {"name": "x", "pool": "p", "evaluation": "e", "ladder": {"rungs": [1]}}
    with pytest.raises(AssayError) as caught:
        study.parse_config({**plain, **change})
    assert caught.value.place == place


def test_a_table_of_scores_says_whose_indicator_it_was(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = [Sample.single(f"{n}?", "why? " * n or None) for n in range(40)]
    for workers in (1, 2):
        with Processes(workers) as pool:
            indicators.score(rows, tmp_path / f"{workers}.parquet", ["questions", "mtld"], pool=pool)
    one, two = (pq.read_table(tmp_path / f"{workers}.parquet") for workers in (1, 2))
    assert one.equals(two) and one["questions"].to_pylist()[:3] == [None, 1.0, 2.0]
    kept = pq.read_schema(tmp_path / "1.parquet").metadata
    assert kept[b"mtld"] == b"1" and kept[b"questions"].startswith(b"my-plugins 0.1.0")


def test_a_broken_reader_is_told_of_and_disturbs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"assay.readers": {"broken": "BROKEN"}}
    install(tmp_path / "p", "import nobody", entries, name="broken", module="broken")
    monkeypatch.syspath_prepend(str(tmp_path / "p"))
    place = tmp_path / "notes.txt"
    place.write_text("Once upon a time.\n", encoding="utf-8")
    reading = data.read(place)
    assert "entry point broken = broken:BROKEN of broken 1.0" in reading.detection.why
    assert [type(row) for row in reading] == [data.Rejected]
    with pytest.raises(AssayError, match="No module named 'nobody'"):
        list(data.read(place, format="broken"))


def test_a_reader_that_fails_rejects_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
class Fails:
    name, version, suffixes = "fails", 1, (".f",)
    def __call__(self, path):
        return self.rows() if path.suffix == ".f" else None
    def rows(self):
        yield {"instruction": "Add.", "output": "2"}
        raise ValueError("torn")
FAILS = Fails()
"""
    install(tmp_path / "p", code, {"assay.readers": {"fails": "FAILS"}}, name="fails", module="fails")
    monkeypatch.syspath_prepend(str(tmp_path / "p"))
    (tmp_path / "a.f").write_text("x", encoding="utf-8")
    kept, rejected = data.read(tmp_path / "a.f")
    assert isinstance(kept, Sample) and kept.origin == "a.f:1"
    assert (rejected.line, rejected.reason) == (2, "the reader fails stopped (ValueError: torn)")


def test_two_readers_of_one_file_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from my_plugins import QaReader\nTWIN = QaReader(name='twin')\n"
    install(tmp_path / "p", code, {"assay.readers": {"twin": "TWIN"}}, name="twin", module="twin")
    monkeypatch.syspath_prepend(str(tmp_path / "p"))
    (tmp_path / "a.qa").write_text(qa(3), encoding="utf-8")
    with pytest.raises(AssayError, match="several readers") as caught:
        list(data.read(tmp_path / "a.qa"))
    assert caught.value.value == "qa, twin"
    assert len(list(data.read(tmp_path / "a.qa", format="twin"))) == 4
