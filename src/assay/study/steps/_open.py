"""Open a model so that it can be measured, whatever runs it: transformers, vLLM or llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from assay import model
from assay.core import Sample
from assay.plan import StepContext
from assay.study._config import MeasureConfig


@dataclass(frozen=True, slots=True)
class Opened:
    """A model ready to be measured, whatever runs it.

    ``reference_loss(items, max_tokens=, advance=)`` and ``answer(items, decoding, advance=)`` are those of
    :mod:`assay.model`, in the order of the items.
    """

    reference_loss: Callable[..., list[model.ItemLoss | None]]
    answer: Callable[..., list[model.Answer]]


class Opener(Protocol):
    """Opens the model of a folder (or file) as a step's config and places say."""

    def __call__(self, folder: Path, context: StepContext) -> AbstractContextManager[Opened]:
        """Return the opened model; it is closed at the end of the block."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What computes a model's answers: part of identity, as it changes them (but for ``vllm``, its python).

    ``dtype``: that of the weights, ``stored`` as they lie in the folder.  Losses of a model that vLLM answers
    for are computed by transformers in fp32.
    """

    backend: Literal["transformers", "vllm", "llama.cpp"]
    dtype: Literal["fp32", "bf16", "stored"]
    device: str
    vllm: str | None = None

    def settings(self) -> dict[str, Any]:
        """Return its part of a step's identity."""
        return {"backend": self.backend, "dtype": self.dtype, "device": self.device}


def runtime(measure: MeasureConfig, device: str, vllm: str | None = None) -> Runtime:
    """Return what runs a model as it was trained; vLLM answers where it is named (or in its variable)."""
    python = model.vllm_python(vllm) if measure.answers else None
    if python is not None:
        return Runtime("vllm", "bf16", model.pick_device(device), python)
    return Runtime("transformers", "fp32", model.pick_device(device))


def runtime_of(device: str, *, gguf: bool) -> Runtime:
    """Return what runs an exported model: llama.cpp a GGUF file, else transformers, as it is stored."""
    if gguf:
        return Runtime("llama.cpp", "stored", "cpu")
    return Runtime("transformers", "stored", model.pick_device(device))


@contextmanager
def _transformers(folder: Path, context: StepContext) -> Iterator[Opened]:
    config = context.config
    tokenizer = model.load_tokenizer(folder, config["template"])
    if config["dtype"] == "stored":
        network = model.load_exported(folder, config["device"])
    else:
        network = model.load_model(folder, config["device"], base=_base(context))
    yield Opened(partial(model.reference_loss, network, tokenizer), partial(model.answer, network, tokenizer))


@contextmanager
def _vllm(folder: Path, context: StepContext) -> Iterator[Opened]:
    """Losses are transformers'; each of the two wants the GPU for itself, so neither stays loaded."""

    def reference_loss(items: Sequence[Sample], **options: Any) -> list[model.ItemLoss | None]:
        with _transformers(folder, context) as opened:
            return opened.reference_loss(items, **options)

    yield Opened(
        reference_loss,
        partial(
            model.vllm_answer, context.where["vllm"], folder, scratch=context.out / "scratch" / "vllm",
            base=_base(context), template=context.config["template"],
        ),
    )  # fmt: skip


@contextmanager
def _llama_cpp(folder: Path, context: StepContext) -> Iterator[Opened]:
    file = folder if folder.is_file() else sorted(folder.glob("*.gguf"))[0]
    with model.GgufModel(file, model.load_tokenizer(file.parent, context.config["template"])) as opened:
        yield Opened(opened.reference_loss, opened.answer)


def _base(context: StepContext) -> Path | None:
    place = context.where["base"]
    return None if place is None else Path(place)


OPENERS: Mapping[str, Opener] = {"transformers": _transformers, "vllm": _vllm, "llama.cpp": _llama_cpp}
"""How a model is opened, by the backend of its :class:`Runtime`."""
