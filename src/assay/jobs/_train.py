"""Fine-tune a base model once, on all samples of a data set, through the steps of a study."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay import __version__, data, model
from assay import plan as planning
from assay.core import AssayError, digest, file_digest
from assay.jobs._data import rejected_rows
from assay.plan import Estimate, Step, Store
from assay.study._config import recipe_of
from assay.study._estimate import estimate_here
from assay.study._run import read_summary
from assay.study.steps import COUNTS, REPORT, Base, order_step, read_step, tokens_step, train_step

if TYPE_CHECKING:
    from assay.model import TrainReport

MODEL, RECEIPT, REJECTED = "model", "receipt.json", "rejected.jsonl"


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that was trained once: where it lies, what it learned from, and how training went.

    ``rejected`` counts the unusable rows by reason; ``rejected.jsonl`` beside the model names each.  ``cut``
    samples were longer than the recipe's ``max_tokens``; ``unlearnable`` ones have no token left to learn.
    ``reused``: the store held it already.
    """

    path: str
    key: str
    reused: bool
    samples: int
    duplicates: int
    rejected: Mapping[str, int]
    cut: int
    unlearnable: int
    report: TrainReport

    def __rich__(self) -> str:
        """Return how the training went, and every row that did not take part in it whole."""
        from rich.markup import escape

        rows = {"exact duplicates, dropped": self.duplicates, "samples cut at max_tokens": self.cut}
        rows |= {"samples with no token left to learn": self.unlearnable}
        rows |= {f"rows rejected, {reason}": count for reason, count in self.rejected.items()}
        lines = [f"{text}: {count:,}" for text, count in rows.items() if count]
        kept = "trained before; taken from the store" if self.reused else ""
        return "\n".join(
            [self.report.__rich__(), *map(escape, lines), *filter(None, [kept]), escape(self.path)]
        )


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
    store: Path = Path(".assay"),
) -> Trained:
    """Fine-tune ``base`` on all usable samples of ``place``, each once; the model goes to ``out/model``.

    ``changes`` are ``key=value`` settings laid over the preset ``recipe``.  Samples come in the random order
    of a study's seed, which depends on what they say and not on where they stand.  The same data (by
    content), base, recipe and seed are trained once per store; a training that was killed goes on from its
    last state.  Raises :class:`AssayError` where ``out`` holds something else than an earlier training.
    """
    folder = model.resolve_base(base)
    chosen = recipe_of(recipe or (model.POCKET if base == model.POCKET else "belle"), changes)
    _receipt(out)
    kept, start = Store(store), Base.at(folder)
    pool = read_step("pool", (place,), key="data")
    _run([pool], kept, quiet=quiet)
    samples = read_summary(kept, pool).samples
    inputs = {
        "tokens": tokens_step(start, chosen, pool, Estimate(seconds=samples / 5000)),
        "order": order_step(pool, f"seed {seed}", {"seed": seed, "rule": "random"}),
    }
    run = train_step(
        start, chosen, inputs, seed=seed, n_train=samples, steps=(0, chosen.steps(samples)), device=device,
        launch=launch or model.Launch(), label=f"{samples:,} samples, seed {seed}", estimate=Estimate(),
    )  # fmt: skip
    reused = kept.has(run.key)
    kept.register(f"train {out.resolve().name} {digest(str(out.resolve()))[:8]}", [run])
    _run(list(inputs.values()), kept, quiet=quiet)
    counts = json.loads((kept.path(inputs["tokens"].key) / COUNTS).read_text(encoding="utf-8"))
    estimate = estimate_here(folder, chosen, chosen.epochs * counts["tokens"], device, launch)
    if estimate is not None and not quiet and not reused:
        print(estimate, file=sys.stderr)
    _run([run], kept, quiet=quiet)
    own = str(folder.resolve()) if Path(base).expanduser().is_dir() and base != model.POCKET else base
    _publish(kept, run, pool, out, own)
    report = json.loads((out / REPORT).read_text(encoding="utf-8"))
    report |= {"trace": tuple(map(tuple, report["trace"])), "notes": tuple(report["notes"])}
    return Trained(
        str(out / MODEL), run.key, reused, samples,
        sum(row.duplicates for row in read_summary(kept, pool).sources),
        rejected_rows(kept.path(pool.key), out / REJECTED),
        counts["cut"], counts["unlearnable"], model.TrainReport(**report),
    )  # fmt: skip


def _run(steps: list[Step], store: Store, *, quiet: bool) -> None:
    with planning.Inline() as here:
        planning.run(steps, store, here, quiet=quiet)


def _publish(store: Store, run: Step, pool: Step, out: Path, base: str) -> None:
    """Copy the model out of the store, whole, with the report and a receipt of what it was made from."""
    made, (before, found) = store.path(run.key), _receipt(out)
    if (before.get("key"), before.get("base"), before.get("files")) == (run.key, base, found):
        return
    with data.replacing_folder(out / MODEL) as partial:
        shutil.copytree(made / MODEL, partial, dirs_exist_ok=True)
        if run.config["recipe"]["adapter"] != "none" and base != model.POCKET:
            model.name_base(partial, base)
        receipt = {"key": run.key, "base": base, "base_digest": run.config["base"]}
        receipt |= {"data": [asdict(row) for row in read_summary(store, pool).sources]}
        receipt |= {"recipe": run.config["recipe"], "seed": run.config["seed"], "assay": __version__}
        receipt |= {"files": _files(partial)}
        # Between the two receipts either model is known as ours, wherever a kill falls.
        data.write_json(out / RECEIPT, {**receipt, "replaced": before.get("files", {})})
    shutil.copyfile(made / REPORT, out / REPORT)
    data.write_json(out / RECEIPT, receipt)


def _receipt(out: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the receipt of an earlier training and the files of its model.

    Raises :class:`AssayError` where the folder holds something else, or more.
    """
    place, found = out / RECEIPT, _files(out / MODEL)
    if place.is_file():
        written: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
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


def _files(folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder."""
    return {str(p.relative_to(folder)): file_digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}
