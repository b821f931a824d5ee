"""Load tokenizers and models: whole ones, the frozen bases of adapters, adapters merged into their bases.

``frozen.json`` beside an adapter says how its base was held in training, so that merging starts from the
very weights it was trained on: QLoRA's are the dequantized ones, not those of the checkpoint.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from assay.core import AssayError, read_json
from assay.model.base._resolve import ADAPTER
from assay.model.tokens import chat_template

FROZEN = "frozen.json"


@dataclass(frozen=True, slots=True)
class Frozen:
    """How the base below an adapter is held: its type, and its quantization if it has one."""

    dtype: Literal["fp32", "bf16"] = "fp32"
    quantized: Literal["nf4"] | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' own bars and notes off the terminal: this package shows its progress itself."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(level)


def pick_device(wanted: str = "auto") -> str:
    """Return ``cuda`` or ``cpu``; ``auto`` takes a GPU where there is one."""
    import torch

    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_tokenizer(folder: Path, template: str | None = None) -> Any:
    """Load the tokenizer of a model folder; ``template`` names the chat template it is to use and save."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if template is not None:
        tokenizer.chat_template = chat_template(tokenizer, template)
    return tokenizer


def load_model(
    folder: Path, device: str = "cpu", attention: str | None = None, *, base: Path | None = None
) -> Any:
    """Load a causal language model in fp32; one whose folder holds an adapter is merged into its ``base``."""
    if (folder / ADAPTER).exists():
        return load_merged(folder, base, device, attention)
    return load_whole(folder, device, attention)


def load_whole(
    folder: Path, device: str = "cpu", attention: str | None = None, dtype: Any = None, **extra: Any
) -> Any:
    """Load a model that is no adapter, in fp32 or ``dtype``; ``extra`` goes to transformers."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as notes

    notes.set_verbosity_error()
    notes.disable_progress_bar()
    if not torch.cuda.is_available():
        # DeepSpeed, which transformers imports where it is installed, would warn of that on standard output.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if attention is not None:
        extra["attn_implementation"] = attention
    if "quantization_config" in extra:
        extra["device_map"] = {"": device}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or torch.float32, **extra)
    return model.to(device)


def load_frozen(base: Path, frozen: Frozen, device: str) -> Any:
    """Load a base as it is held below an adapter."""
    import torch

    dtype = torch.bfloat16 if frozen.dtype == "bf16" else torch.float32
    if frozen.quantized is None:
        return load_whole(base, device, dtype=dtype)
    need_package("bitsandbytes", "qlora")
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=frozen.quantized,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    try:
        model = load_whole(base, device, dtype=dtype, quantization_config=quantization)
    except (ValueError, RuntimeError, NotImplementedError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise AssayError(
            f"the base cannot be loaded in 4 bits ({error})",
            place="recipe.adapter",
            value="qlora",
            expected="a base whose linear layers bitsandbytes can quantize on this device",
            hint="adapter: lora trains on the base in recipe.dtype",
        ) from None
    for layer in model.modules():
        # On some CPUs bitsandbytes would pack the weights anew at the first pass without gradients, and round
        # their scales to bf16: no longer the base that the adapter is trained on.
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return model


@quiet()
def load_merged(folder: Path, base: Path | None, device: str, attention: str | None = None) -> Any:
    """Load an adapter and add it into the weights of its base, in fp32."""
    if base is None:
        raise AssayError(
            "the adapter's base model is missing",
            place=str(folder),
            expected="the base model that it was trained on",
            hint="`load_model(folder, base=...)`",
        )
    need_package("peft", "lora")
    from peft import PeftModel

    path = folder / FROZEN
    frozen = Frozen(**read_json(path)) if path.exists() else Frozen()
    model = load_frozen(base, frozen, device)
    if frozen.quantized is not None:
        model = model.dequantize()
    model = model.float()
    if attention is not None:
        model.set_attn_implementation(attention)
    try:
        return PeftModel.from_pretrained(model, folder).merge_and_unload().eval()
    except (ValueError, RuntimeError) as error:
        raise AssayError(
            f"the adapter does not fit the base ({type(error).__name__})",
            place=str(folder / ADAPTER),
            value=str(base),
            expected="the base model that it was trained on",
        ) from None


def load_exported(folder: Path, device: str = "cpu") -> Any:
    """Load an exported folder as others will: in the type of its weights, GPTQ through compressed-tensors."""
    import torch

    with quiet(), torch.no_grad():
        network = load_whole(folder, device, dtype="auto")
        # compressed-tensors unpacks the weights at the first call.
        network(input_ids=torch.zeros((1, 1), dtype=torch.long, device=device))
    return network


def need_package(package: str, adapter: str) -> None:
    """Raise :class:`AssayError` where a kind of adapter lacks its library."""
    if find_spec(package) is None:
        raise AssayError(
            f"adapter {adapter} needs the package {package}",
            place="recipe.adapter",
            value=adapter,
            expected=f"{package} installed",
            hint='pip install "instruct-assay[scale]"',
        )
