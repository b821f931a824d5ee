"""Find base models by name: ``pocket``, a local folder, or a Hugging Face id."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from assay.core import AssayError, digest, file_digest, read_json
from assay.data import replacing_text

POCKET = "pocket"
ADAPTER = "adapter_config.json"
_WEIGHTS = "*.safetensors"
_IDENTITY = ("*.json", _WEIGHTS, "*.model", "*.jinja", "*.txt")
_TOKENIZER = (
    "tokenizer.json", "tokenizer.model", "spiece.model", "spm.model", "vocab.json", "vocab.txt", "merges.txt",
    "added_tokens.json",
)  # fmt: skip
_PICKLED = "pytorch_model*.bin"


def resolve_base(name: str) -> Path:
    """Return the folder of a base model; download a Hugging Face id if it is not in the cache.

    Raises :class:`AssayError` for a name that is neither ``pocket``, a folder with a ``config.json``, nor
    an id that can be reached.
    """
    if name == POCKET:
        return Path(str(files("assay.model") / "pocket"))
    return model_folder(name, "base")


def fetch(name: str, place: str, *, pickled: bool = False, weights: bool = True) -> Path:
    """Return the folder of a Hugging Face id, downloaded if it is not in the cache.

    ``place`` names the setting that asked for it, for the error.  Weights saved by pickle come only where
    ``pickled`` asks for them and there are no others; none come without ``weights``.
    """
    from huggingface_hub import snapshot_download

    wanted = [pattern for pattern in _IDENTITY if weights or pattern != _WEIGHTS]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted))
        if pickled and not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*_IDENTITY, _PICKLED]))
        return folder
    except Exception as error:
        raise AssayError(
            f"the model could not be fetched ({type(error).__name__})",
            place=place,
            value=name,
            expected="a Hugging Face id that can be reached, or is in the cache",
            hint="check the spelling and the network, or give a local folder",
        ) from None


def model_folder(name: str, place: str, *, pickled: bool = False) -> Path:
    """Return the folder of any model: a folder with ``config.json``, or a Hugging Face id.

    ``pickled``: as for :func:`fetch`.
    """
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
    return fetch(name, place, pickled=pickled)


def tokenizer_folder(name: str, place: str) -> Path:
    """Return a folder with the tokenizer of a model: ``pocket``, a folder, or a Hugging Face id's files.

    Raises :class:`AssayError` as :func:`model_folder` does; weights are neither needed nor fetched.
    """
    folder = resolve_base(name) if name == POCKET else Path(name).expanduser()
    found = folder if folder.is_dir() else fetch(name, place, weights=False)
    if not (found / "tokenizer.json").is_file():
        raise AssayError("no tokenizer", place=place, value=name, expected="a folder with tokenizer.json")
    return found


def reading_digest(folder: Path) -> str:
    """Return the digest of all of a model's folder but its weights: how it reads text."""
    paths = [path for path in base_files(folder) if path.suffix != ".safetensors"]
    return digest({path.name: file_digest(path) for path in paths})


def base_digest(folder: Path, *, pickled: bool = False) -> str:
    """Return the digest of a model folder's weights, configuration and tokenizer.

    With ``pickled`` weights saved by pickle count where there are no others; else they are refused.
    """
    paths = base_files(folder)
    if pickled and not any(path.suffix == ".safetensors" for path in paths):
        paths = sorted({*paths, *folder.glob(_PICKLED)})
    if not any(path.suffix in (".safetensors", *[".bin"] * pickled) for path in paths):
        raise AssayError(
            "no safetensors weights",
            place=str(folder),
            expected="model.safetensors",
            hint="convert pickled weights with save_pretrained(..., safe_serialization=True)",
        )
    return digest({path.name: file_digest(path) for path in paths})


def base_files(folder: Path) -> list[Path]:
    """Return a model folder's files of weights, configuration and tokenizer, by name."""
    return sorted({path for pattern in _IDENTITY for path in folder.glob(pattern)})


def tokenizer_digest(folder: Path) -> str:
    """Return the digest of the files that decide into which tokens a text goes."""
    paths = [folder / name for name in _TOKENIZER if (folder / name).exists()]
    return digest({path.name: file_digest(path) for path in paths})


def template_name(folder: Path, template: str) -> str:
    """Return by which chat template a base renders samples: its name, or the digest of the base's own.

    ``template`` is the recipe's: a name, or ``auto`` for the tokenizer's own, which is ``plain`` where it has
    none.
    """
    if template != "auto":
        return template
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    own = file.read_text(encoding="utf-8") if file.exists() else None
    own = own or (read_json(config).get("chat_template") if config.exists() else None)
    return f"own, {digest(own)[:8]}" if own else "plain"


def base_name(folder: Path) -> str | None:
    """Return the name that finds a base again anywhere: ``pocket`` or a hub id; None for a folder."""
    if folder == resolve_base(POCKET):
        return POCKET
    cached = next((part for part in folder.parts if part.startswith("models--")), None)
    return cached and cached.removeprefix("models--").replace("--", "/", 1)


def name_base(folder: Path, name: str) -> None:
    """Write into an adapter's folder by which name its base is found."""
    path = folder / ADAPTER
    config = read_json(path)
    with replacing_text(path) as file:
        file.write(json.dumps({**config, "base_model_name_or_path": name}, indent=2) + "\n")
