"""Open a model so that it can be measured, whatever runs it: transformers, vLLM or llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from assay import model
from assay.core import Sample
from assay.plan import Advance, StepContext
from assay.study._config import MeasureConfig


def _unseen(done: float, total: float, unit: str) -> None:
    """Show no progress."""


class Opened(Protocol):
    """A model ready to be measured: its losses and answers, in the order of the items."""

    def reference_loss(
        self, items: Sequence[Sample], *, max_tokens: int, advance: Advance = _unseen
    ) -> list[model.ItemLoss | None]:
        """Return the loss of each item's reference; None where it has none or its prompt is too long."""

    def answer(
        self, items: Sequence[Sample], decoding: model.Decoding, advance: Advance = _unseen
    ) -> list[model.Answer]:
        """Return one answer to each item's prompt."""


Opener: TypeAlias = Callable[[Path, StepContext], AbstractContextManager[Opened]]


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


@dataclass(frozen=True, slots=True)
class _Network:
    """A model in transformers."""

    network: Any
    tokenizer: Any

    def reference_loss(
        self, items: Sequence[Sample], *, max_tokens: int, advance: Advance = _unseen
    ) -> list[model.ItemLoss | None]:
        return model.reference_loss(
            self.network, self.tokenizer, items, max_tokens=max_tokens, advance=advance
        )

    def answer(
        self, items: Sequence[Sample], decoding: model.Decoding, advance: Advance = _unseen
    ) -> list[model.Answer]:
        return model.answer(self.network, self.tokenizer, items, decoding, advance)


@dataclass(frozen=True, slots=True)
class _Vllm:
    """A model that vLLM answers for; its losses are transformers'.  Each wants the GPU for itself."""

    folder: Path
    context: StepContext

    def reference_loss(
        self, items: Sequence[Sample], *, max_tokens: int, advance: Advance = _unseen
    ) -> list[model.ItemLoss | None]:
        with _transformers(self.folder, self.context) as opened:
            return opened.reference_loss(items, max_tokens=max_tokens, advance=advance)

    def answer(
        self, items: Sequence[Sample], decoding: model.Decoding, advance: Advance = _unseen
    ) -> list[model.Answer]:
        return model.vllm_answer(
            self.context.where["vllm"],
            self.folder,
            items,
            decoding,
            self.context.out / "scratch" / "vllm",
            base=_base(self.context),
            template=self.context.config["template"],
            advance=advance,
        )


@contextmanager
def _transformers(folder: Path, context: StepContext) -> Iterator[Opened]:
    config = context.config
    tokenizer = model.load_tokenizer(folder, config["template"])
    if config["dtype"] == "stored":
        yield _Network(model.load_exported(folder, config["device"]), tokenizer)
    else:
        yield _Network(model.load_model(folder, config["device"], base=_base(context)), tokenizer)


@contextmanager
def _vllm(folder: Path, context: StepContext) -> Iterator[Opened]:
    yield _Vllm(folder, context)


@contextmanager
def _llama_cpp(folder: Path, context: StepContext) -> Iterator[Opened]:
    file = folder if folder.is_file() else sorted(folder.glob("*.gguf"))[0]
    with model.GgufModel(file, model.load_tokenizer(file.parent, context.config["template"])) as opened:
        yield opened


def _base(context: StepContext) -> Path | None:
    place = context.where["base"]
    return None if place is None else Path(place)


OPENERS: Mapping[str, Opener] = {
    "transformers": _transformers, "vllm": _vllm, "llama.cpp": _llama_cpp
}  # fmt: skip
"""How a model is opened, by the backend of its :class:`Runtime`."""
