"""Find and load base models: ``pocket``, a local folder, or a Hugging Face id."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from assay.core import AssayError, digest, file_digest
from assay.model._templates import chat_template

POCKET = "pocket"
_IDENTITY = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt")


def resolve_base(name: str) -> Path:
    """Return the folder of a base model; download a Hugging Face id if it is not in the cache.

    Raises :class:`AssayError` for a name that is neither ``pocket``, a folder with a ``config.json``, nor
    an id that can be reached.
    """
    if name == POCKET:
        return Path(str(files("assay.model") / "pocket"))
    return model_folder(name, "base")


def fetch(name: str, place: str) -> Path:
    """Return the folder of a Hugging Face id, downloaded if it is not in the cache; never pickled weights.

    ``place`` names the setting that asked for it, for the error.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_IDENTITY)))
    except Exception as error:
        raise AssayError(
            f"the model could not be fetched ({type(error).__name__})",
            place=place,
            value=name,
            expected="a Hugging Face id that can be reached, or is in the cache",
            hint="check the spelling and the network, or give a local folder",
        ) from None


def model_folder(name: str, place: str) -> Path:
    """Return the folder of any model: a folder with ``config.json``, or a Hugging Face id."""
    folder = Path(name).expanduser()
    pocket = f"`{POCKET}`, " if place == "base" else ""
    if folder.is_dir():
        if not (folder / "config.json").exists():
            raise AssayError("not a model folder", place=name, expected="a config.json in it")
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise AssayError(
            "no such model",
            place=place,
            value=name,
            expected=f"{pocket}a folder with config.json, or a Hugging Face id (owner/name)",
        )
    return fetch(name, place)


def base_digest(folder: Path) -> str:
    """Return the digest of a model folder's weights, configuration and tokenizer."""
    paths = sorted({path for pattern in _IDENTITY for path in folder.glob(pattern)})
    if not any(path.suffix == ".safetensors" for path in paths):
        raise AssayError(
            "no safetensors weights",
            place=str(folder),
            expected="model.safetensors",
            hint="convert pickled weights with save_pretrained(..., safe_serialization=True)",
        )
    return digest({path.name: file_digest(path) for path in paths})


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


def load_model(folder: Path, device: str = "cpu", attention: str | None = None) -> Any:
    """Load a causal language model in fp32 (training keeps fp32 weights, bf16 is autocast)."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    extra = {} if attention is None else {"attn_implementation": attention}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **extra)
    return model.to(device)
