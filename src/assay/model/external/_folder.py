"""A run's folder: the rows in their order, the trainer's settings, the script that starts it, digests.

What is written is a function of the run alone, byte for byte, so that what comes back can be held against
what would be written now.  Paths in it are relative: the folder can be moved.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from assay.core import AssayError, file_digest
from assay.data import replacing, replacing_text
from assay.model.base import base_files
from assay.model.external._settings import ExternalRun, row_order, token_rows
from assay.model.external._tools import Tool, start_arguments
from assay.model.tokens import TokenTable
from assay.model.train import Indices

RUN = "run.json"
SCRIPT = "run.py"
DATA = "data/train.jsonl"
CONFIG = "config.yaml"
_START = """#!/bin/sh
# PYTHON: the python of an environment with {title}.
exec "${{PYTHON:-python}}" "$(dirname "$0")/run.py" "$@"
"""


@dataclass(frozen=True, slots=True)
class HandedBase:
    """The base model of a run's folder: by what name, where it lies, and where it was handed over to.

    ``handed`` is seen from the run's folder, "" where the base is not handed over.
    """

    name: str
    place: Path
    handed: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what a run says of its base, with the digests of its files."""
        files = {path.name: file_digest(path) for path in base_files(self.place)}
        return {"name": self.name, "place": str(self.place.resolve()), "handed": self.handed, "files": files}


def _lines(tool: Tool, run: ExternalRun, table: TokenTable, order: Indices) -> Iterator[bytes]:
    for row in token_rows(table, row_order(run.recipe, order, run.n_train, run.seed)):
        yield (json.dumps(tool.row(row), separators=(",", ":")) + "\n").encode()


def _config(tool: Tool, run: ExternalRun) -> bytes:
    settings = tool.config(run)
    return yaml.safe_dump(settings, sort_keys=False).encode()


def _own_files(tool: Tool, run: ExternalRun) -> dict[str, bytes]:
    """Return what decides a run beside its rows."""
    return {CONFIG: _config(tool, run), **{name: text.encode() for name, text in tool.files.items()}}


def run_digests(tool: Tool, run: ExternalRun, table: TokenTable, order: Indices) -> dict[str, str]:
    """Return the SHA-256 of every file that decides a run, by its name in the folder.

    The script that starts it is none of them: whoever trains may have to adapt it to a cluster.
    """
    rows = hashlib.sha256()
    for line in _lines(tool, run, table, order):
        rows.update(line)
    own = {name: hashlib.sha256(text).hexdigest() for name, text in _own_files(tool, run).items()}
    return {DATA: rows.hexdigest(), **own}


def write_run(
    folder: Path, tool: Tool, run: ExternalRun, table: TokenTable, order: Indices, base: HandedBase, key: str
) -> None:
    """Write the folder of a run, ``run.json`` last; what an earlier attempt trained there stays.

    Raises :class:`AssayError` where the folder holds another run.
    """
    _check_free(folder, key)
    digests = {}
    for name, text in _own_files(tool, run).items():
        with replacing(folder / name) as partial:
            partial.write_bytes(text)
        digests[name] = hashlib.sha256(text).hexdigest()
    with replacing(folder / DATA) as partial, partial.open("wb") as lines:
        lines.writelines(_lines(tool, run, table, order))
    digests[DATA] = file_digest(folder / DATA)
    _write_scripts(folder, tool)
    job = {
        "key": key,
        "tool": tool.name,
        "version": tool.version,
        "arguments": start_arguments(tool, run.processes, CONFIG),
        "resume": list(tool.resume),
        "processor": list(tool.processor) if run.recipe.dtype == "bf16" else [],
        "tokenized": tool.tokenized,
        "packages": list(tool.packages),
        "processes": run.processes,
        "threads": run.recipe.threads,
        "samples": run.n_train,
        "rows": run.rows,
        "steps": run.steps,
        "seed": run.seed,
        "files": digests,
        "base": base.facts(),
    }
    with replacing_text(folder / RUN) as file:
        file.write(json.dumps(job, indent=1, ensure_ascii=False) + "\n")


def _write_scripts(folder: Path, tool: Tool) -> None:
    with replacing(folder / SCRIPT) as partial:
        shutil.copyfile(Path(__file__).with_name("_job.py"), partial)
    with replacing(folder / "run.sh") as partial:
        partial.write_text(_START.format(title=tool.title), encoding="utf-8")
        os.chmod(partial, 0o755)  # noqa: PTH101, S103 - a script to start


def _check_free(folder: Path, key: str) -> None:
    if (folder / RUN).is_file() and read_run(folder)["key"] != key:
        raise AssayError(
            "the folder holds another run", place=str(folder), value="written for other data or settings",
            expected="a folder of its own for every study", hint="give another --out",
        )  # fmt: skip


def read_run(folder: Path) -> Mapping[str, Any]:
    """Return what ``run.json`` of a folder says; raises :class:`AssayError` where it cannot be read."""
    path = folder / RUN
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and {"key", "tool", "processes", "files", "steps"} <= found.keys():
            return found
        problem = "it is not what handoff writes"
    except FileNotFoundError:
        problem = "it is missing"
    except (OSError, ValueError) as error:
        problem = f"it cannot be read ({type(error).__name__})"
    raise AssayError(
        f"the description of the run cannot be used: {problem}", place=str(path),
        expected=f"the {RUN} that was handed over", hint="copy it from the folder that was written",
    )  # fmt: skip
