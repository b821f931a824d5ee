"""Fine-tune a base model once, on all samples of a data set."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay import model
from assay.core import AssayError, digest
from assay.jobs._data import samples
from assay.plan import progress_bar
from assay.study._config import recipe_of
from assay.study._estimate import estimate_here


def train_once(
    place: str,
    out: Path,
    *,
    base: str,
    recipe: str | None,
    seed: int,
    device: str,
    quiet: bool,
    launch: model.Launch | None = None,
    changes: Sequence[str] = (),
) -> Any:
    """Fine-tune ``base`` on all usable samples of ``place``; resumes where an earlier call was killed.

    ``changes`` are ``key=value`` settings laid over the preset ``recipe``.
    """
    folder = model.resolve_base(base)
    chosen = recipe_of(recipe or ("pocket" if base == model.POCKET else "belle"), changes)
    tokens = out / "tokens"
    parts = [base, model.base_digest(folder), dataclasses.asdict(chosen), seed, place]
    if chosen.trainer != "full":
        parts.append(model.trainer_identity(chosen.trainer))
    identity = digest(parts)
    _claim(out, identity)
    if not (tokens / "done").exists():
        tokens.mkdir(parents=True, exist_ok=True)
        learnable = (s for s in samples(place) if s.answer)
        tokenizer = model.load_tokenizer(folder, chosen.template)
        model.write_tokens(tokenizer, learnable, tokens, chosen.max_tokens)
        (tokens / "done").touch()
    table = model.TokenTable(tokens)
    if not len(table):
        raise AssayError("no usable sample", place=place, hint="`assay data inspect` shows why")
    order = np.random.default_rng(seed).permutation(len(table))
    segment = model.Segment(chosen, seed, len(table), 0, chosen.steps(len(table)))
    estimate = estimate_here(folder, chosen, chosen.epochs * int(table.lengths.sum()), device, launch)
    if estimate is not None and not quiet:
        print(estimate, file=sys.stderr)
    with progress_bar("train", quiet=quiet) as advance:
        report = model.trainer(chosen.trainer, launch)(
            segment,
            base=folder,
            state=None,
            table=table,
            order=order,
            out=out,
            device=device,
            advance=advance,
        )
    if chosen.adapter != "none" and base != model.POCKET:
        model.name_base(out / "model", str(folder.resolve()) if Path(base).expanduser().is_dir() else base)
    (out / "train.json").write_text(json.dumps(dataclasses.asdict(report)), encoding="utf-8")
    return report


def _claim(out: Path, identity: str) -> None:
    """Refuse a folder that holds another training: resuming it would mix two runs."""
    mark = out / "identity"
    if mark.exists() and mark.read_text(encoding="utf-8") != identity:
        raise AssayError(
            "the folder holds another training",
            place=str(out),
            expected="an empty folder, or one of the same data, base, recipe and seed",
            hint="choose another folder, or delete this one",
        )
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text(identity, encoding="utf-8")
