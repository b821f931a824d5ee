"""Memory that really runs out, in a process of its own; activations kept off the device."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.core import AssayError, Sample
from assay.model import Segment, TokenTable, load_model, load_tokenizer, preset, resolve_base, write_tokens
from assay.model.tokens import bucketed, micro_batches
from assay.model.train import LocalEngine, out_of_memory, train_segment, use_packing
from assay.model.train._memory import offloaded

# Trains one step on each of two sets of tokens with so much memory left (MiB); prints reports and errors.
SCRIPT = """
import dataclasses, json, resource, sys
from pathlib import Path
import numpy as np
from assay.core import AssayError
from assay.model import Segment, TokenTable, preset, resolve_base
from assay.model.train import LocalEngine, train_segment

out = Path(sys.argv[1])
for tokens, room in (sys.argv[2:4], sys.argv[4:]):
    table = TokenTable(Path(tokens))
    recipe = preset("pocket", batch_size=len(table), warmup_steps=0, micro_tokens=65536)
    segment = Segment(recipe, 0, len(table), 0, 1)
    engine = LocalEngine(resolve_base("pocket"), recipe, 0, "cpu")
    engine.write_model(out / "before")  # loads what saving needs
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + int(room) * 2**20, -1))
    try:
        report = train_segment(engine, segment, state=None, table=table, order=np.arange(len(table)), out=out)
        print(json.dumps(dataclasses.asdict(report)))
    except AssayError as error:
        print(json.dumps({"problem": error.problem, "hint": error.hint}))
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
"""


@pytest.fixture(scope="module")
def long(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokens of 24 samples of some 370 tokens each."""
    return write_long(tokenizer, tmp_path_factory.mktemp("long"), samples=24, words=200)


def write_long(tokenizer: Any, folder: Path, *, samples: int, words: int) -> Path:
    random = np.random.default_rng(0)
    known = ["apple", "river", "seven", "数据", "模型", "blue", "because", "质量", "the", "一"]
    texts = [" ".join(random.choice(known, size=words)) for _ in range(samples)]
    rows = [Sample.single(f"Task {i}: 重复", text) for i, text in enumerate(texts)]
    write_tokens(tokenizer, rows, folder, 2**16)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
@pytest.mark.long
def test_memory_that_runs_out_halves_the_micro_batches(tokenizer: Any, long: Path, tmp_path: Path) -> None:
    huge, squeezed_out = tmp_path / "huge", tmp_path / "squeezed"
    huge.mkdir()
    write_long(tokenizer, huge, samples=2, words=8000)
    places = [str(squeezed_out), str(huge), "32", str(long), "120"]
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, *places], stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    lines = found.stdout.splitlines()
    refused, squeezed = (json.loads(line) for line in lines if line.startswith("{"))
    assert refused["problem"] == "a single sample does not fit in memory"
    assert "gradient_checkpointing" in refused["hint"]
    assert squeezed["micro_tokens"] < 65536 / 2
    assert squeezed["notes"][0]["key"] == "note.memory.step"
    table, micro = TokenTable(long), squeezed["micro_tokens"]
    recipe = preset("pocket", batch_size=len(table), warmup_steps=0, micro_tokens=micro)
    engine = LocalEngine(resolve_base("pocket"), recipe, 0, "cpu")
    segment, rows = Segment(recipe, 0, len(table), 0, 1), np.arange(len(table))
    roomy = train_segment(engine, segment, state=None, table=table, order=rows, out=tmp_path / "roomy")
    assert roomy.notes == () and roomy.micro_tokens == micro
    assert squeezed["trace"][0][1] == pytest.approx(roomy.trace[0][1], rel=1e-6)
    assert squeezed["padded_tokens"] == roomy.padded_tokens
    own, other = (load_model(out / "model").state_dict() for out in (squeezed_out, tmp_path / "roomy"))
    # Adam's first step is the rate times the gradient's sign: where that is within rounding, twice the rate.
    apart = sum(int((own[name] - other[name]).abs().gt(1e-6).sum()) for name in own)
    assert apart <= 1e-4 * sum(own[name].numel() for name in own)


def test_only_failed_allocations_count_as_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**50, dtype=torch.uint8)
    assert out_of_memory(failed.value)
    with pytest.raises(RuntimeError) as other:
        torch.ones(2) @ torch.ones(3)
    assert not out_of_memory(other.value)


def test_parameters_are_not_moved_with_the_activations() -> None:
    weight = torch.nn.Parameter(torch.randn(256, 256))
    inputs = torch.randn(512, 256, requires_grad=True)
    with offloaded():
        out: Any = torch.nn.functional.linear(inputs, weight)
    assert out.grad_fn._saved_mat2.data_ptr() == weight.data_ptr()
    assert out.grad_fn._saved_self.data_ptr() != inputs.data_ptr()
    assert torch.equal(out.grad_fn._saved_self, inputs)


@pytest.mark.parametrize("change", [{"offload_activations": True}, {"gradient_checkpointing": True}])
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_savings_of_memory_change_no_gradient(
    change: dict[str, bool], adapter: str, base: Path, long: Path
) -> None:
    table = TokenTable(long)
    (batch,) = bucketed(table, np.arange(2), 65536, 0)
    found = []
    for changes in ({}, change):
        engine = LocalEngine(base, preset("pocket", adapter=adapter, **changes), 0, "cpu")
        engine.backward(batch, 100, last=True)
        found.append({n: p.grad for n, p in engine.loss.named_parameters() if p.requires_grad})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_rows_are_packed_only_where_the_model_keeps_them_apart(tiny: Callable[..., Path]) -> None:
    """BLOOM biases attention by distance and reads no positions: packed rows would see one another."""
    recipe = preset("pocket", batching="packed")
    bloom = load_model(tiny("bloom"))
    with pytest.raises(AssayError, match="cannot keep packed sequences apart") as caught:
        use_packing(recipe, "cpu", bloom)
    assert caught.value.place == "recipe.batching"
    assert not use_packing(dataclasses.replace(recipe, batching="auto"), "cuda", bloom)


@pytest.mark.parametrize("family", ["llama", "llama3", "qwen", "mistral", "neox", "gemma"])
def test_packed_rows_of_every_other_family_have_the_loss_of_rows_alone(
    family: str, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    base = tiny(family)
    texts = ["The capital is Paris.", "北京是中国的首都。", "1 2 3", "Rain falls.", "春天来了，花开满园。"]
    samples = [Sample.single(f"Say: {text}", text) for text in texts]
    write_tokens(load_tokenizer(base), samples, tmp_path, 256)
    table = TokenTable(tmp_path)
    rows, recipe = np.arange(len(table)), preset("pocket", batching="packed")
    engine = LocalEngine(base, recipe, 0, "cpu")
    assert engine.packing
    (batch,) = micro_batches(table, rows, 4096, pad=engine.pad, packing=True)
    alone = [engine.loss(one).item() for row in rows for one in bucketed(table, rows[row : row + 1], 1, 0)]
    assert len(alone) == len(texts)
    assert engine.loss(batch).item() == pytest.approx(sum(alone), rel=1e-5)
