"""A study's model is exported, measured as its study did, and shown in the study's report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_study import jsonl, rows_of

import assay
from assay import study
from assay.core import OVERALL, AssayError, StudyResult
from assay.model import Decoding, answer, load_exported, load_tokenizer
from assay.release import Exported
from assay.view import load_result

TO: Any = ("merged", "gptq8", "gptq4")
SETTINGS: dict[str, Any] = {"samples": 16, "license": "cc-by-sa-4.0", "pool": "inline"}


@pytest.fixture(scope="module")
def runs(small_study: tuple[Path, StudyResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study's report, copied, so that other tests see it without exports."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(small_study[0].parent / "report", folder / "small")
    return folder


@pytest.fixture(scope="module")
def exported(runs: Path) -> Exported:
    return assay.export("small:random/128/seed1", to=TO, runs=runs, **SETTINGS)


@pytest.mark.long
def test_every_format_reloads_and_answers(exported: Exported, small_study: tuple[Path, StudyResult]) -> None:
    folder = Path(exported.folder)
    items = [row for row in study.read_models(folder.parent.parent).models if row.n_train == 128]
    assert items, "the study's models are known by their folder"
    for name in TO:
        network, tokenizer = load_exported(folder / name), load_tokenizer(folder / name)
        found = answer(network, tokenizer, rows_as_items(), Decoding(max_new_tokens=4))
        assert len(found) == 4 and all(row.tokens for row in found)
        assert (folder / name / "README.md").read_text().startswith("---\nlicense: cc-by-sa-4.0\n")
    sizes = [file.bytes for file in exported.proof.files]
    assert exported.proof.bytes > sizes[0] > sizes[1] > sizes[2]
    assert "Assay's built-in synthetic data" in (folder / "data_card.md").read_text()


def rows_as_items() -> list:  # type: ignore[type-arg]
    from assay.data import synthetic

    return [planted.sample for planted in synthetic.generate(4, seed=5, split="eval")]


@pytest.mark.long
def test_before_export_is_what_the_study_measured(
    exported: Exported, small_study: tuple[Path, StudyResult]
) -> None:
    own = {
        (p.type, p.metric): p.value
        for p in small_study[1].points
        if (p.arm, p.n_train, p.seed) == ("random", 128, 1)
    }
    for file in exported.proof.files:
        assert {drop.type for drop in file.drops} == {"classification", "code", OVERALL}
        for drop in file.drops:
            assert drop.before == pytest.approx(own[drop.type, drop.metric], abs=1e-6)
            assert drop.cost is not None and drop.left_out == 0
            least = 0.02 if drop.metric == "score" else 0.005 * drop.before
            assert drop.threshold >= least - 1e-9
        assert file.tokens_per_second and file.same_answers is not None
    page = exported.proof
    assert (page.items, page.calibration, page.scored_by) == (16, 16, "checker-v1")
    losses = {
        f.format: d.cost for f in page.files for d in f.drops if (d.type, d.metric) == (OVERALL, "loss")
    }
    assert abs(losses["merged"]) < 0.02 and abs(losses["gptq8"]) < 0.05 and abs(losses["gptq4"]) < 0.5


@pytest.mark.long
def test_nothing_is_done_twice_and_the_report_shows_it(exported: Exported, runs: Path) -> None:
    folder = Path(exported.folder)
    assert folder == runs / "small" / "exports" / "random-128-seed1"
    store = study.read_models(runs / "small").store
    before = {path: path.stat().st_mtime_ns for path in store.glob("objects/??/*/manifest.json")}
    again = assay.export("small:random/128/seed1", to=TO, runs=runs, **SETTINGS)
    assert again == exported
    assert {path: path.stat().st_mtime_ns for path in store.glob("objects/??/*/manifest.json")} == before
    assert load_result(runs / "small" / "result.json").exports == (exported.proof,)
    assert "Exported models" in (runs / "small" / "report.html").read_text()
    assert json.loads((folder / "export.json").read_text())["model"] == "small:random/128/seed1"
    assert (folder / "export.html").read_text().startswith("<!doctype html>")


def test_a_model_without_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "items.jsonl", rows_of(4, 1, "eval"))
    made = assay.export(
        "pocket", Path("out"), evaluation=["items.jsonl"], max_new_tokens=4, dtype="fp32", pool="inline"
    )
    assert [file.format for file in made.proof.files] == ["merged"] and made.proof.items == 4
    assert (tmp_path / "out" / "merged" / "model.safetensors").exists()
    assert not (tmp_path / "out" / "data_card.md").exists(), "nothing is known of the data"
    bare = assay.export("pocket", Path("bare"), dtype="fp32", pool="inline")
    assert bare.proof.items == 0 and bare.proof.files[0].drops == ()
    with pytest.raises(AssayError, match="no samples to calibrate"):
        assay.export("pocket", Path("q"), to=["gptq4"], pool="inline")
    with pytest.raises(AssayError, match="no folder to write to"):
        assay.export("pocket", pool="inline")
    with pytest.raises(AssayError, match="holds something else"):
        assay.export("pocket", tmp_path, pool="inline")
    with pytest.raises(AssayError, match="no such format"):
        assay.export("pocket", Path("x"), to=["gptq3"], pool="inline")  # type: ignore[list-item]
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(AssayError, match="HF_TOKEN"):
        assay.export("pocket", Path("bare"), push="me/model", pool="inline")


@pytest.mark.long
def test_gguf_is_measured_by_llama_cpp(exported: Exported, runs: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    to: Any = ("gguf-f16", "gguf-q8_0")
    made = assay.export("small:random/128/seed1", to=to, runs=runs, **SETTINGS)
    whole, small = made.proof.files
    assert whole.backend == small.backend == "llama.cpp" and whole.bytes > small.bytes
    assert whole.same_answers is not None and whole.same_answers >= 0.95
    for drop in whole.drops:
        assert drop.cost == pytest.approx(0, abs=0.01 if drop.metric == "loss" else 0.2)
    folder = Path(made.folder)
    assert (folder / whole.path).is_file() and (folder / "gguf-f16" / "Modelfile").is_file()
    assert "ollama create" in (folder / "gguf-f16" / "README.md").read_text()
