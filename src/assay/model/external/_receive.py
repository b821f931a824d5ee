"""What another trainer left: held against what it was given, then written as a model of ours."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import AssayError, file_digest, read_json, say
from assay.model.external._folder import CONFIG, DATA, read_run, run_digests
from assay.model.external._settings import ExternalRun, row_order, warms_late
from assay.model.external._tools import Tool
from assay.model.tokens import TokenTable
from assay.model.train import Indices, Segment, TrainReport, write_received

RECEIPT = "receipt.json"
LOG = "log.txt"
_STATE = "trainer_state.json"
_AGAIN = "run it again: `sh run.sh` in the folder; it goes on after its last checkpoint"


@dataclass(frozen=True, slots=True)
class Came:
    """What is known of a run that may have been made: ``status`` is the receipt's, or open, or untold.

    ``untold``: a model is there and no receipt, as when the trainer was started by other means than run.py.
    """

    status: str
    receipt: Mapping[str, Any]
    weights: Path | None
    state: Mapping[str, Any]


def look(folder: Path) -> Came:
    """Return what has come back in a run's folder; nothing is judged yet."""
    receipt = _read(folder / RECEIPT)
    state = max((_read(p) for p in _states(folder)), key=lambda s: s.get("global_step", 0), default={})
    weights = _weights(folder / "out", state.get("global_step"))
    status = str(receipt.get("status", "untold" if weights is not None else "open"))
    return Came(status, receipt, weights, state)


def _states(folder: Path) -> list[Path]:
    out = folder / "out"
    return [
        path for pattern in (_STATE, f"*/{_STATE}", f"*/*/{_STATE}") for path in sorted(out.glob(pattern))
    ]


def _weights(out: Path, step: int | None) -> Path | None:
    """Return the folder of the final weights: that of the run itself, else of its last checkpoint."""
    places = [out, *sorted(out.glob(f"checkpoint-{step}")), *sorted(out.glob(f"*/checkpoint-{step}"))]
    return next((p for p in places if any(p.glob("*.safetensors"))), None)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def receive(
    tool: Tool,
    folder: Path,
    segment: Segment,
    *,
    base: Path,
    table: TokenTable,
    order: Indices,
    out: Path,
) -> TrainReport:
    """Hold what came back in ``folder`` against what was handed over, and write ``out/model`` from it.

    Raises :class:`AssayError` with what to do where it is not there, failed, stopped short, was given other
    data or settings, or holds numbers that are none.
    """
    job, came = read_run(folder), look(folder)
    run = ExternalRun.of(segment, table, base, int(job["processes"]))
    _check_status(folder, came, tool)
    _check_files(folder, came, run_digests(tool, run, table, order))
    _check_steps(folder, came, run)
    assert came.weights is not None  # noqa: S101 - its status says so
    shutil.rmtree(out / "model", ignore_errors=True)
    write_received(came.weights, base, segment.recipe, out / "model")
    for name in (RECEIPT, LOG):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    return _report(tool, run, base, came, table, order)


def _check_status(folder: Path, came: Came, tool: Tool) -> None:
    if came.status == "failed":
        raise training_failure(folder, came.receipt, tool)
    if came.status == "refused":
        raise AssayError(
            f"the run was not started: {came.receipt.get('problem')}", place=str(folder),
            expected="the files as they were written, and the base model", hint=_AGAIN,
        )  # fmt: skip
    if came.status == "running":
        raise AssayError(
            "the run was started and has not ended", place=str(folder / RECEIPT),
            value=f"step {came.state.get('global_step', 0)}, as far as checkpoints tell",
            expected="a run that ended", hint=f"wait for it; where nothing runs, {_AGAIN}",
        )  # fmt: skip
    if came.status == "open":
        raise AssayError(
            "the run has not come back", place=str(folder), expected=f"{RECEIPT} and the folder out",
            hint="`sh run.sh` in the folder trains it; copy the folder back where it ran elsewhere",
        )  # fmt: skip
    if came.weights is None:
        raise AssayError(
            "no weights came back", place=str(folder / "out"), expected="*.safetensors, or an adapter's",
            hint="copy the folder out back whole; results alone are read by `assay import`",
        )  # fmt: skip


def _check_files(folder: Path, came: Came, wanted: Mapping[str, str]) -> None:
    told = came.receipt.get("files", {})
    for name, digest in wanted.items():
        path = folder / name
        # Rows need not travel back: the receipt says which were trained on.
        absent = name == DATA and not path.exists() and came.receipt
        if (not absent and (not path.is_file() or file_digest(path) != digest)) or (
            came.receipt and told.get(name) != digest
        ):
            what = {DATA: "data", CONFIG: "settings"}.get(name, "template")
            raise AssayError(
                f"the run was not made from the {what} that this study hands over", place=str(path),
                value="missing" if not path.is_file() else "another SHA-256",
                expected=f"SHA-256 {digest[:16]}…",
                hint="hand the study over again into a new folder and train there; a changed recipe, pool or "
                "version of Assay is another run",
            )  # fmt: skip


def _check_steps(folder: Path, came: Came, run: ExternalRun) -> None:
    reached = came.state.get("global_step")
    if reached is None:
        raise AssayError(
            "nothing tells how far the run went", place=str(folder / "out"),
            expected=f"{_STATE}, in out or in its last checkpoint", hint="copy it back as well",
        )  # fmt: skip
    if reached != run.steps:
        raise AssayError(
            "the run has another number of steps than was handed over", place=str(folder / "out" / _STATE),
            value=f"step {reached:,}", expected=f"{run.steps:,} steps of {run.recipe.batch_size} samples",
            hint=_AGAIN if reached < run.steps else "a batch of another size, or more passes, is another run",
        )  # fmt: skip


def _report(
    tool: Tool, run: ExternalRun, base: Path, came: Came, table: TokenTable, order: Indices
) -> TrainReport:
    rows = row_order(run.recipe, order, run.n_train, run.seed)
    lengths = table.lengths[rows]
    learned = sum(int(table.row(int(row))[1][1:].sum()) for row in rows)
    versions = {name: str(v) for name, v in dict(came.receipt.get("versions", {})).items()}
    notes = [
        say("note.external", tool=tool.title, versions=", ".join(f"{n} {v}" for n, v in versions.items()))
    ]
    if run.steps != run.recipe.steps(run.n_train):
        notes.append(
            say("note.external.passes", tool=tool.title, steps=run.steps, own=run.recipe.steps(run.n_train))
        )
    if warms_late(run.recipe):
        notes.append(say("note.external.warmup", tool=tool.title))
    if tool.frozen_as_saved and run.recipe.adapter in ("lora", "dora"):
        saved = saved_type(base)
        if saved != run.recipe.dtype:
            notes.append(say("note.external.frozen", tool=tool.title, saved=saved, dtype=run.recipe.dtype))
    return TrainReport(
        steps=run.steps,
        samples=run.rows,
        tokens=int(lengths.sum()),
        learned_tokens=learned,
        padded_tokens=_padded(lengths, run.per_device),
        seconds=float(came.receipt.get("seconds", 0.0)),
        device=str(came.receipt.get("device", "unknown")),
        trace=_trace(came.state),
        micro_tokens=run.per_device * run.longest,
        notes=tuple(notes),
    )


def saved_type(base: Path) -> str:
    """Return the type in which a base's weights are saved, by its own word, in the recipe's names."""
    config = read_json(base / "config.json")
    name = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    return {"bfloat16": "bf16", "float32": "fp32", "float16": "fp16"}.get(name, name)


def _padded(lengths: Indices, size: int) -> int:
    """Return the tokens of all forward passes, filled up to their longest row."""
    groups = (lengths[start : start + size] for start in range(0, len(lengths), size))
    return sum(len(group) * int(group.max()) for group in groups)


def _trace(state: Mapping[str, Any]) -> tuple[tuple[int, float], ...]:
    """Return (step from 0, loss) of every step that was logged with a loss that is a number."""
    rows = ((row.get("step"), row.get("loss")) for row in state.get("log_history", []))
    return tuple(
        (step - 1, float(loss))
        for step, loss in rows
        if isinstance(step, int) and isinstance(loss, int | float) and math.isfinite(loss)
    )


_ERROR = re.compile(r"(\[rank\d+\]: )?[\w.]*(Error|Exception)(: |$)")
_CAUSES = (
    (
        re.compile(r"out of memory|OutOfMemoryError|can't allocate memory|MemoryError", re.IGNORECASE),
        "memory ran out",
        "a smaller recipe.micro_tokens, recipe.gradient_checkpointing: true, an adapter, or more memory",
    ),
    (
        re.compile(r"No module named '([^']+)'"),
        "its environment lacks a package",
        "install it there, or name another environment by where.environment",
    ),
)


def training_failure(folder: Path, receipt: Mapping[str, Any], tool: Tool) -> AssayError:
    """Return the error for a trainer that ended badly: what it said last, where to read on, what to do."""
    log = folder / LOG
    said = log.read_text(encoding="utf-8", errors="replace")[-20_000:] if log.is_file() else ""
    lines = [line.strip() for line in re.split(r"[\r\n]+", said) if line.strip()]
    code = receipt.get("code")
    for pattern, cause, hint in _CAUSES:
        found = [line for line in lines if pattern.search(line)]
        if found:
            return AssayError(f"{tool.title}: {cause}", place=str(log), value=found[-1], hint=hint)
    ended = (
        f"was killed by signal {-code}" if isinstance(code, int) and code < 0 else f"ended with status {code}"
    )
    return AssayError(
        f"{tool.title} {ended}", place=str(log), value=_last_said(lines),
        hint="a silent kill usually means out of memory; fix the cause and rerun the same command: it "
        "resumes from the last checkpoint",
    )  # fmt: skip


def _last_said(lines: Sequence[str]) -> str:
    """Return the last error that a log names, else its last words; what launchers say of it apart."""
    errors = [line for line in lines if _ERROR.match(line) and "ChildFailedError" not in line]
    words = [line for line in lines if any(c.isalpha() for c in line)]
    return next((found[-1] for found in (errors, words) if found), "it printed nothing")
