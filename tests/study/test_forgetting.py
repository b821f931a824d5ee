"""What training forgets: the loss on plain text along a ladder, by hand and in the report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from assay import AssayError, study
from assay.core import BASE_ARM, BestSize, CurveResult, Forgetting, Rise, StudyResult
from assay.curves import rises
from assay.study.steps._forgetting import limited
from assay.view import load_result


def test_the_rise_is_that_of_the_sums_with_paired_errors() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(20, 80, 30).astype(float)
    base = tokens * 3 + rng.normal(0, 20, 30)
    change = tokens * 0.2 + rng.normal(0, 1, 30)
    (found,) = rises("en", "random", base, tokens, {100: [base + change]}, largest=0.25)
    assert found.rise == pytest.approx(change.sum() / tokens.sum())
    residuals = change - found.rise * tokens
    error = math.sqrt((residuals**2).sum() * 30 / 29) / tokens.sum()
    assert found.high - found.rise == pytest.approx(1.6448536 * error, rel=1e-6)
    assert found.p_within is not None and found.p_within > 0.99


@given(shift=st.floats(-2, 2), scale=st.floats(0.1, 10))
def test_a_level_that_all_models_share_moves_nothing(shift: float, scale: float) -> None:
    rng = np.random.default_rng(1)
    tokens, base = rng.integers(5, 50, 12) * 1.0, rng.normal(100, 9, 12)
    runs = {n: [base + n * 0.01 * tokens + rng.normal(0, 1, 12) for _ in range(2)] for n in (10, 20)}
    one = rises("t", "a", base, tokens, runs)
    two = rises(
        "t", "a", base + shift * tokens, tokens, {n: [r + shift * tokens for r in v] for n, v in runs.items()}
    )
    three = rises("t", "a", base * scale, tokens, {n: [r * scale for r in v] for n, v in runs.items()})
    for a, b, c in zip(one, two, three, strict=True):
        assert (b.rise, b.low, b.high) == pytest.approx((a.rise, a.low, a.high), abs=1e-6)
        assert (c.rise, c.low, c.high) == pytest.approx(
            (a.rise * scale, a.low * scale, a.high * scale), rel=1e-6
        )


def rise(n: int, p: float | None, text: str = "en") -> Rise:
    return Rise(text, "random", n, 0.1, 0.0, 0.2, 2, 24, p)


def test_what_is_allowed_ends_at_the_first_size_beyond() -> None:
    found = Forgetting((), (), (rise(10, 0.99), rise(20, 0.5), rise(40, 0.99)), 0.1)
    assert found.allowed("random") == 10, "40 is beyond a size that is not within"
    assert Forgetting((), (), (rise(10, 0.99), rise(10, 0.2, "zh")), 0.1).allowed("random") == 0
    assert Forgetting((), (), (rise(10, None),)).allowed("random") is None


def test_enough_means_enough_without_forgetting_more() -> None:
    best = BestSize(40, 10, 40, "undecided", 0.5)
    curve = CurveResult("math", "random", "score", None, None, {}, satisfied_at=30.0, best=best)
    forgotten = Forgetting((), (), (rise(20, 0.99), rise(40, 0.1)), 0.1)
    (cut,) = limited([curve], forgotten)
    assert cut.best is not None and cut.best.n is None and cut.satisfied_at is None
    (kept,) = limited([curve], dataclasses.replace(forgotten, rises=(rise(40, 0.99),)))
    assert kept == curve
    (unasked,) = limited([curve], dataclasses.replace(forgotten, largest_loss=None))
    assert unasked == curve


def test_a_study_measures_what_it_forgets(small_study: tuple[Path, StudyResult]) -> None:
    file, result = small_study
    found = result.forgetting
    assert found is not None and {p.type for p in found.points} == {"en", "zh"}
    assert {(r.text, r.n_train) for r in found.rises} == {(t, n) for t in ("en", "zh") for n in (32, 64, 128)}
    base = {p.type: p.value for p in found.points if p.arm == BASE_ARM}
    for r in found.rises:
        own = [p.value for p in found.points if (p.type, p.n_train) == (r.text, r.n_train)]
        assert len(own) == r.seeds == 2 and r.parts == 24
        assert r.rise == pytest.approx(np.mean(own) - base[r.text], abs=1e-9)
        assert r.low < r.rise < r.high
    assert not {"en", "zh"} & {p.type for p in result.points}, "never among what enters overall"
    report = file.parent / "report"
    assert load_result(report / "result.json").forgetting == found
    assert "What training forgets" in (report / "report.html").read_text("utf-8")
    assert "loss on plain text" in (report / "report.md").read_text("utf-8").split("\n## ")[0], (
        "on the first page"
    )


def test_the_loss_is_that_of_the_text_alone(small_study: tuple[Path, StudyResult]) -> None:
    """No template and no end mark: computed here by transformers itself."""
    import torch

    from assay.model import load_model, load_tokenizer, resolve_base

    file, _ = small_study
    folder = resolve_base("pocket")
    tokenizer, network = load_tokenizer(folder, "auto"), load_model(folder, "cpu")
    text = (Path(study.__file__ or "").parent / "text" / "en.txt").read_text("utf-8").splitlines()[0]
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    ids = torch.tensor([[start, *tokenizer(text, add_special_tokens=False).input_ids]])
    with torch.no_grad():
        loss = float(network(ids, labels=ids).loss) * (ids.shape[1] - 1)
    store = Path(yaml.safe_load(file.read_text())["where"]["store"])
    tables = [polars.read_parquet(p) for p in store.glob("objects/*/*/text.parquet")]
    first = [t.filter((t["text"] == "en") & (t["part"] == 0))["nats"][0] for t in tables]
    assert len(first) == 7 and min(abs(x - loss) for x in first) < 1e-3


def test_files_of_ones_own(study_file: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "law.txt").write_text(
        "The court shall hear both sides.\nNo one judges his own cause.\n", "utf-8"
    )
    measure = {"answers": False, "text": ["law.txt"]}
    path = study_file(
        name="own", ladder={"rungs": [32], "seeds": 1}, measure=measure, question={"largest_loss": 9.0}
    )
    result = study.run(path)
    assert isinstance(result, StudyResult) and result.forgetting is not None
    (found,) = result.forgetting.rises
    assert (found.text, found.parts, found.seeds) == ("law", 2, 1) and found.p_within is not None
    off = study.run(path, set=["measure.text=false"])
    assert isinstance(off, StudyResult) and off.forgetting is None
    with pytest.raises(AssayError, match=r"measure\.text"):
        study.run(path, set=["measure.text=[absent.txt]"])


def test_paragraphs_that_are_cut_are_said_and_one_alone_is_refused(tmp_path: Path) -> None:
    from assay import model
    from assay.plan import Estimate, Store, parse_pool, run
    from assay.study._config import MeasureConfig
    from assay.study.steps._base import Base
    from assay.study.steps._open import runtime
    from assay.study.steps._text import TEXT, cut_parts, text_places, text_step

    def measured(*paragraphs: str) -> Path:
        file = tmp_path / "own.txt"
        file.write_text("\n".join(paragraphs), encoding="utf-8")
        measure = MeasureConfig(text=(str(file),), max_tokens=16)
        base = Base.at(model.resolve_base("pocket"))
        step = text_step(
            text_places(measure, tmp_path), base, measure, runtime(measure, "cpu", None), base=None,
            threads=1, template="auto", label="text", estimate=Estimate(seconds=1),
        )  # fmt: skip
        store = Store(tmp_path / "store")
        with parse_pool("inline") as pool:
            run([step], store, pool)
        return store.path(step.key)

    (note,) = cut_parts(polars.read_parquet(measured("A short one.", "and " * 40) / TEXT))
    assert (note.values["text"], note.values["n"], note.values["of"]) == ("own", 1, 2)
    assert cut_parts(polars.read_parquet(measured("A short one.", "Another one.") / TEXT)) == []
    with pytest.raises(AssayError, match="too few paragraphs"):
        measured("One alone.")
