"""A trained model out of the store: copied whole, beside a receipt of what it was made from."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assay import data
from assay._version import __version__
from assay.core import AssayError, DataSummary, file_digest
from assay.model import POCKET, name_base
from assay.plan import Step
from assay.study.steps import REPORT

MODEL, RECEIPT = "model", "receipt.json"


def publish(made: Path, out: Path, base: str, run: Step, read: DataSummary) -> None:
    """Copy the model of a training step's folder ``made`` to ``out``, with its report and a receipt.

    ``base`` is the name by which an adapter's base is found again.
    """
    before, found = read_receipt(out)
    same = (before.get("key"), before.get("base"), before.get("files")) == (run.key, base, found)
    if same and "replaced" not in before:
        return
    with data.replacing_folder(out / MODEL) as partial:
        shutil.copytree(made / MODEL, partial, dirs_exist_ok=True)
        if run.config["recipe"]["adapter"] != "none" and base != POCKET:
            name_base(partial, base)
        receipt = {"key": run.key, "base": base, "base_digest": run.config["base"]}
        receipt |= {"data": [asdict(row) for row in read.sources]}
        receipt |= {"recipe": run.config["recipe"], "seed": run.config["seed"], "assay": __version__}
        receipt |= {"files": _files(partial)}
        # Between the two receipts either model is known as ours, wherever a kill falls.
        data.write_json(out / RECEIPT, {**receipt, "replaced": before.get("files", {})})
    shutil.copyfile(made / REPORT, out / REPORT)
    data.write_json(out / RECEIPT, receipt)


def read_receipt(out: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the receipt of an earlier training in a folder, and the files of its model; both may be empty.

    Raises :class:`AssayError` where the folder holds something else, or more.
    """
    place, found = out / RECEIPT, _files(out / MODEL)
    if place.is_file():
        written = _known(place)
        known = [written["files"], written.get("replaced", {})]
        if any(found.items() <= files.items() for files in known):
            return written, found
        strange = sorted(name for name, own in found.items() if known[0].get(name) != own)
    else:
        strange = sorted(p.name for p in out.iterdir() if p.name[0] != ".") if out.is_dir() else []
        if not strange and (out.is_dir() or not out.exists()):
            return {}, found
    raise AssayError(
        "the folder holds something else than an earlier training", place=str(out),
        value=", ".join(strange[:5]) or "a file", expected="an empty folder, or one that `assay train` wrote",
        hint="choose another folder, or move these files away: they would be lost",
    )  # fmt: skip


def _known(place: Path) -> dict[str, Any]:
    try:
        written: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return {**written, "files": dict(written["files"])}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AssayError(
            f"the receipt of the training cannot be read ({type(error).__name__})", place=str(place),
            expected="written by `assay train`", hint="choose another folder, or move this one away",
        ) from None  # fmt: skip


def _files(folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder."""
    return {str(p.relative_to(folder)): file_digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}
