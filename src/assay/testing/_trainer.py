"""The laws of trainers."""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from assay import model
from assay.core import file_digest
from assay.testing._data import samples
from assay.testing._suite import Suite

_N = 24
_TOKENS = 96


def _recipe(name: str) -> model.Recipe:
    return model.preset(
        "pocket", batch_size=4, epochs=2, warmup_steps=1, max_tokens=_TOKENS, micro_tokens=512, trainer=name
    )


@cache
def _table() -> tuple[model.TokenTable, Any]:
    """Return samples as tokens of the pocket model, with an order that leaves some out."""
    folder = Path(tempfile.mkdtemp(prefix="assay-suite-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tokenizer = model.load_tokenizer(model.resolve_base(model.POCKET))
    model.write_tokens(tokenizer, [s for s in samples() if s.answer], folder, _TOKENS)
    table = model.TokenTable(folder)
    return table, np.random.default_rng(0).permutation(len(table))


def _nothing(done: float, total: float, unit: str) -> None:
    return


def _train(
    name: str,
    out: Path,
    start: int,
    stop: int,
    state: Path | None = None,
    advance: Callable[[float, float, str], None] = _nothing,
) -> model.TrainReport:
    table, order = _table()
    out.mkdir(parents=True, exist_ok=True)
    recipe = _recipe(name)
    return model.trainer(name, model.Launch())(
        model.Segment(recipe, 0, _N, start, stop), base=model.resolve_base(model.POCKET), state=state,
        table=table, order=order, out=out, device="cpu", advance=advance,
    )  # fmt: skip


def _weights(out: Path) -> dict[str, str]:
    found = {p.name: file_digest(p) for p in sorted((out / "model").glob("*.safetensors"))}
    assert found, f"no weights (*.safetensors) in {out / 'model'}"
    return found


def fingerprint(name: str) -> dict[str, str]:
    """Return digests of the weights of a whole run."""
    with tempfile.TemporaryDirectory() as folder:
        _train(name, Path(folder), 0, _recipe(name).steps(_N))
        return _weights(Path(folder))


@cache
def _whole(name: str) -> dict[str, str]:
    """Return digests of the weights of a whole run, made once for the laws that compare with it."""
    return fingerprint(name)


class TrainerSuite(Suite):
    """Inherit it and set ``name``; the pocket model is trained on the CPU, twelve steps a run."""

    plugins = model.TRAINERS
    fingerprint = f"{__name__}:fingerprint"
    total: ClassVar[int] = 12

    def test_a_whole_run_leaves_a_model_and_a_report(self, tmp_path: Path) -> None:
        """``out/model`` can be loaded and answers; the report counts what was done."""
        report = _train(self.name, tmp_path, 0, self.total)
        recipe = _recipe(self.name)
        assert report.steps == self.total == recipe.steps(_N), f"{report.steps} steps"
        assert report.samples == recipe.samples_in(_N, 0, self.total), f"{report.samples} samples"
        assert 0 < report.learned_tokens <= report.tokens, (
            f"{report.learned_tokens} of {report.tokens} tokens"
        )
        assert [step for step, _ in report.trace] == list(range(self.total)), "the trace lacks steps"
        assert all(math.isfinite(loss) for _, loss in report.trace), "a loss that is not finite"
        network = model.load_model(tmp_path / "model", "cpu")
        tokenizer = model.load_tokenizer(tmp_path / "model")
        (loss,) = model.reference_loss(network, tokenizer, samples()[:1])
        assert loss is not None and math.isfinite(loss.nats), "the model cannot be measured"

    def test_segments_are_the_whole_run(self, tmp_path: Path) -> None:
        """A run in two segments, through a saved state, ends in the same weights to the bit."""
        half = self.total // 2
        _train(self.name, tmp_path / "first", 0, half)
        assert not (tmp_path / "first" / "model").exists(), "a model before the end of the run"
        _train(self.name, tmp_path / "second", half, self.total, tmp_path / "first" / "state")
        assert _weights(tmp_path / "second") == _whole(self.name), "other weights"

    def test_an_interrupted_run_goes_on(self, tmp_path: Path) -> None:
        """Stopped in the middle and called again with the same folder, it ends in the same weights."""

        def stop(done: float, total: float, unit: str) -> None:
            if done >= self.total // 2:
                raise KeyboardInterrupt

        try:
            _train(self.name, tmp_path / "stopped", 0, self.total, advance=stop)
        except KeyboardInterrupt:
            assert not (tmp_path / "stopped" / "model").exists(), "a model before the end of the run"
        else:
            raise AssertionError("it does not tell how far it is: advance() was not called, or not heard")
        _train(self.name, tmp_path / "stopped", 0, self.total)
        assert _weights(tmp_path / "stopped") == _whole(self.name), "other weights"

    def test_the_base_is_left_alone(self, tmp_path: Path) -> None:
        """No file of the base model is written to."""
        base = model.resolve_base(model.POCKET)
        before = {p: file_digest(p) for p in base.rglob("*") if p.is_file()}
        _train(self.name, tmp_path, 0, self.total)
        assert before == {p: file_digest(p) for p in base.rglob("*") if p.is_file()}, "the base has changed"
