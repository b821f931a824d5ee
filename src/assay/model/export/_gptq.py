"""GPTQ: weights of 8 or 4 bits, rounded so that the layers' outputs on real samples change least.

Frantar et al. 2022 (arXiv 2210.17323) as llmcompressor has it; the result reloads in transformers and vLLM
through compressed-tensors.  The older format of GPTQ is written by gptqmodel, in an environment of its own.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from assay.core import AssayError, Sample, read_json
from assay.data import replacing_text
from assay.model.base import SHARD, dress, load_model, load_tokenizer, quiet, save
from assay.model.tokens import Encoded, encode

Advance = Callable[[float, float, str], None]
GPTQMODEL_PYTHON = "ASSAY_GPTQMODEL_PYTHON"
_GROUPS = (128, 64, 32)


@dataclass(frozen=True, slots=True)
class Quantized:
    """How a model was quantized.

    ``group``: weights that share a scale (-1: a whole row); ``layers`` matrices were rounded to ``bits``;
    ``kept``: what stays whole; ``samples`` and ``tokens`` of the calibration.
    """

    bits: int
    group: int
    layers: int
    kept: tuple[str, ...]
    samples: int
    tokens: int


def quantize_gptq(
    folder: Path,
    out: Path,
    bits: Literal[8, 4],
    samples: Sequence[Sample],
    *,
    max_tokens: int = 512,
    device: str = "cpu",
    shard: str = SHARD,
    advance: Advance = lambda done, total, unit: None,
) -> Quantized:
    """Write the model of ``folder`` with weights of ``bits`` to ``out``; activations and head stay whole.

    ``samples``, rendered by the chat template and cut at ``max_tokens``, are what the error is measured on.
    What is not quantized is written in bf16.  Raises :class:`AssayError` without the extra ``quantize``,
    for too few samples, and for a model without linear layers that could be quantized.
    """
    import torch

    compressor, modifier = _llmcompressor()
    network, tokenizer = load_model(folder, device), load_tokenizer(folder)
    rows = _calibration(tokenizer, samples, max_tokens)
    layers, head = _linear(network)
    group = group_size(columns for _, columns in layers)
    weights: dict[str, Any] = {"num_bits": bits, "type": "int", "symmetric": True}
    weights |= {"strategy": "channel"} if group < 0 else {"strategy": "group", "group_size": group}
    rounding = _watched(modifier, len(layers), advance)(
        config_groups={"group_0": {"targets": ["Linear"], "weights": weights}}, ignore=[head]
    )
    with quiet():
        compressor(
            model=network, processor=tokenizer, recipe=rounding, dataset=_batches(rows),
            num_calibration_samples=len(rows), max_seq_length=max_tokens,
            shuffle_calibration_samples=False, pipeline="sequential",
        )  # fmt: skip
        save(network, folder, out, torch.bfloat16, shard, save_compressed=True)
    _name_head(out / "config.json", head)
    return Quantized(bits, group, len(layers), (head,), len(rows), sum(len(row.ids) for row in rows))


def _calibration(tokenizer: Any, samples: Sequence[Sample], max_tokens: int) -> list[Encoded]:
    """Return the samples as the model reads them; raise where there is none to measure an error on."""
    rows = [row for row in encode(tokenizer, samples, max_tokens) if len(row.ids) > 1]
    if not rows:
        raise AssayError("no sample to calibrate on", place="calibration", expected="a data set of samples")
    return rows


def group_size(columns: Iterator[int] | Sequence[int]) -> int:
    """Return the largest usual group (128, 64, 32) that divides every row; -1 (one group a row) for none."""
    shared = math.gcd(*columns)
    return next((size for size in _GROUPS if shared % size == 0), -1)


@quiet()
def _llmcompressor() -> tuple[Any, Any]:
    os.environ.setdefault("LLM_COMPRESSOR_LOG_LEVEL", "CRITICAL")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Its bars would hold a lock between processes, which a worker that ends leaves behind with a warning.
    import_module("tqdm").tqdm.set_lock(RLock())
    try:
        oneshot: Any = import_module("llmcompressor").oneshot
        modifier: Any = import_module("llmcompressor.modifiers.gptq").GPTQModifier
    except ImportError:
        raise AssayError(
            "llmcompressor is not installed", place="--to gptq8, gptq4",
            hint='pip install "instruct-assay[quantize]"',
        ) from None  # fmt: skip
    return oneshot, modifier


def _linear(network: Any) -> tuple[list[tuple[str, int]], str]:
    """Return name and columns of the linear layers below the head, and the name of the head."""
    import torch

    last = network.get_output_embeddings()
    modules = [(name, part) for name, part in network.named_modules() if isinstance(part, torch.nn.Linear)]
    head = next((name for name, part in modules if part is last), "lm_head")
    layers = [(name, part.in_features) for name, part in modules if part is not last]
    if not layers:
        raise AssayError(
            "no linear layer to quantize", value=type(network).__name__,
            expected="a family that keeps its matrices in linear layers (Llama, BLOOM, Qwen, Mistral ...)",
        )  # fmt: skip
    return layers, head


def _batches(rows: Sequence[Any]) -> Any:
    """Return the calibration samples one a batch, so that none is padded or cut by its neighbours."""
    import torch

    ids = [torch.tensor([row.ids]) for row in rows]
    batches = [{"input_ids": row, "attention_mask": torch.ones_like(row)} for row in ids]
    return torch.utils.data.DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def _watched(modifier: Any, layers: int, advance: Advance) -> Any:
    """Return GPTQ's modifier with a count of the matrices that are done."""
    done = 0

    class Watched(modifier):  # type: ignore[misc]
        def compress_module_list(self, module_list: list[Any]) -> None:
            nonlocal done
            super().compress_module_list(module_list)
            done += len(module_list)
            advance(done, layers, "layer")

    Watched.__name__ = modifier.__name__
    return Watched


def _name_head(config: Path, head: str) -> None:
    """Add the head's name in memory to what is not quantized.

    Where a family's head is saved under another name than it has in memory (GPT-NeoX: ``embed_out`` and
    ``lm_head``), transformers writes the one and looks for the other.
    """
    found = read_json(config)
    ignored = found["quantization_config"]["ignore"]
    found["quantization_config"]["ignore"] = sorted({*ignored, head})
    with replacing_text(config) as file:
        file.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


_OLD_FORMAT = """
import json, sys
job = json.load(open(sys.argv[1], encoding="utf-8"))
from gptqmodel import GPTQModel, QuantizeConfig
model = GPTQModel.load(job["folder"], QuantizeConfig(bits=job["bits"], group_size=job["group"]))
model.quantize([{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in job["rows"]], batch_size=1)
model.save(job["out"])
"""


def quantize_gptqmodel(
    folder: Path, out: Path, bits: Literal[8, 4], samples: Sequence[Sample], *, max_tokens: int = 512
) -> Quantized:
    """Write ``folder`` in the older format of GPTQ (AutoGPTQ's), by gptqmodel in its own environment.

    The Python of that environment is named by ``ASSAY_GPTQMODEL_PYTHON``: gptqmodel wants other versions of
    transformers than this package.  Raises :class:`AssayError` where it is not set, or where gptqmodel fails.
    """
    python = os.environ.get(GPTQMODEL_PYTHON)
    if not python:
        raise AssayError(
            "no environment with gptqmodel was given", place=f"environment variable {GPTQMODEL_PYTHON}",
            expected="the python of an environment in which gptqmodel is installed",
            hint="--to gptq8 and gptq4 need none: they are written by llmcompressor",
        )  # fmt: skip
    network, tokenizer = load_model(folder), load_tokenizer(folder)
    rows = [list(row.ids) for row in _calibration(tokenizer, samples, max_tokens)]
    layers, head = _linear(network)
    made = Quantized(
        bits, group_size(c for _, c in layers), len(layers), (head,), len(rows), sum(map(len, rows))
    )
    job = {"folder": str(folder), "out": str(out), "rows": rows, "bits": bits, "group": made.group}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "job.json"
        place.write_text(json.dumps(job), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - the user's own Python, our own script
            [python, "-c", _OLD_FORMAT, str(place)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise AssayError(
            "gptqmodel failed", place=python, value="".join(done.stderr.strip().splitlines()[-1:]),
            hint=f"{python} -c 'import gptqmodel' shows whether it is installed",
        )  # fmt: skip
    dress(network, folder).save_pretrained(out)
    network.generation_config.save_pretrained(out)
    return made
