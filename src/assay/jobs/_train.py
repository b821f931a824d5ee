"""Fine-tune a base model once, on all samples of a data set, through the steps of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from assay import data, model
from assay import plan as planning
from assay.core import (
    DataSummary,
    File,
    Items,
    Page,
    Paragraph,
    Shown,
    Without,
    digest,
    files,
    page,
    read_json,
    say,
    stored_text,
)
from assay.jobs._data import rejected_rows
from assay.jobs._publish import MODEL, publish, read_receipt
from assay.plan import Estimate, Step, Store, open_store
from assay.study import estimate_here, padded_tokens, read_summary, recipe_of, training_cost
from assay.study.steps import (
    REPORT,
    Base,
    order_step,
    read_step,
    sample_counts,
    tokens_step,
    train_step,
)

if TYPE_CHECKING:
    from assay.model import TrainReport

REJECTED = "rejected.jsonl"
_ALONE = model.Launch()


@dataclass(frozen=True, slots=True)
class Trained(Shown):
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

    def as_page(self) -> Page:
        """Return how the training went, and every row that did not take part in it whole."""
        kinds = {"duplicates": self.duplicates, "cut": self.cut, "unlearnable": self.unlearnable}
        lines = [
            say(f"trained.{kind}", n=count, limit="max_tokens") for kind, count in kinds.items() if count
        ]
        lines += [say("trained.rejected", reason=r, n=count) for r, count in self.rejected.items() if count]
        kept = Paragraph(say("trained.reused")) if self.reused else None
        return page(*self.report.as_page().blocks, Items(tuple(lines)), kept, files(folder=self.path))


def train(
    place: str,
    out: File,
    *,
    base: str = "pocket",
    recipe: str | None = None,
    set: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
    launch: Annotated[model.Launch, Without("port", "through", "cluster")] = _ALONE,
    store: File = Path(".assay"),
    cap: str | None = None,
) -> Trained:
    """Fine-tune a base model on a data set.

    Example: `assay train alpaca.jsonl tuned --base pocket --recipe pocket`

        >>> assay.train("pool.jsonl", "tuned", device="cpu").samples
        40

    The order of samples depends on the seed and their content, not on their position in the file. Rerun the
    same command to resume from the last checkpoint; changed data is trained from scratch.

    Parameters
    ----------
    place
        Data to read: a file, a folder, or hf:owner/name.
    out
        Folder for the run: the model is in `out/model`, rejected rows are in `out/rejected.jsonl`.
    base
        `pocket`, a folder, or a Hugging Face id.
    recipe
        Preset: pocket, testbed, belle, belle-lora, alpaca or alpaca-lora; the default depends on the base.
    set
        Override a setting of the recipe, `key=value` (adapter=qlora); may be repeated.
    seed
        Random seed for order and dropout.
    device
        auto, cpu or cuda.
    launch
        How many processes share the training.
    store
        Folder of the store, or `s3://bucket/prefix`; finished runs there are reused.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what is finished is kept, and the same command goes on.

    Raises
    ------
    AssayError
        Where `out` holds something else than an earlier training.
    """
    with planning.metered(cap) as meter:
        found = _train(place, Path(out), base, recipe, set, seed, device, launch, Path(store))
        meter.per |= {"row": found.samples, "run": 1}
    return found


def _train(
    place: str, out: Path, base: str, recipe: str | None, changes: Sequence[str], seed: int, device: str,
    launch: model.Launch, store: Path,
) -> Trained:  # fmt: skip
    folder = model.resolve_base(base)
    chosen = recipe_of(recipe or (model.POCKET if base == model.POCKET else "belle"), changes)
    read_receipt(out)
    out.mkdir(parents=True, exist_ok=True)
    receipts = data.output(out / REJECTED, inputs=[place], force=True)
    kept = open_store(store)
    pool = read_step("pool", (place,), key="data", base=folder, template=chosen.template)
    run_here([pool], kept)
    read = read_summary(kept, pool)
    run = _whole_run(Base.at(folder), chosen, pool, read.samples, seed, device, launch)
    reused = kept.has(run.key)
    kept.register(f"train {out.resolve().name} {digest(str(out.resolve()))[:8]}", [run])
    run_here(list(run.inputs.values()), kept)
    table = kept.path(run.inputs["tokens"].key)
    lengths = model.TokenTable(table).lengths.astype(float)
    tokens = chosen.epochs * int(lengths.sum())
    estimate = estimate_here(folder, chosen, tokens, device, launch)
    if estimate is not None and not reused:
        planning.tell(estimate.said())
    cost = training_cost(
        Base.at(folder), chosen, tokens,
        padded=chosen.epochs * len(lengths) * padded_tokens(lengths, chosen.batch_size, chosen.micro_tokens),
        squares=chosen.epochs * float((lengths**2).sum()),
        steps=chosen.steps(read.samples), device=model.pick_device(device), launch=launch,
    )  # fmt: skip
    run_here([replace(run, estimate=cost)], kept)
    named = str(folder.resolve()) if Path(base).expanduser().is_dir() and base != model.POCKET else base
    publish(kept.path(run.key), out, named, run, read)
    rejected = rejected_rows(kept.path(pool.key), receipts)
    return _trained(out, run.key, read, rejected, sample_counts(table), reused=reused)


def _whole_run(
    base: Base, recipe: model.Recipe, pool: Step, samples: int, seed: int, device: str, launch: model.Launch
) -> Step:
    """Return the step that trains on the whole pool, from the first step to the last."""
    inputs = {
        "tokens": tokens_step(base, recipe, pool, Estimate(seconds=samples / 5000)),
        "order": order_step(pool, f"seed {seed}", {"seed": seed, "rule": "random"}),
    }
    return train_step(
        base, recipe, inputs, seed=seed, n_train=samples, steps=(0, recipe.steps(samples)), device=device,
        launch=launch, label=f"{samples:,} samples, seed {seed}", estimate=Estimate(),
    )  # fmt: skip


def _trained(
    out: Path,
    key: str,
    read: DataSummary,
    rejected: Mapping[str, int],
    counts: Mapping[str, int],
    *,
    reused: bool,
) -> Trained:
    report = read_json(out / REPORT)
    report |= {"trace": tuple(map(tuple, report["trace"])), "notes": tuple(map(stored_text, report["notes"]))}
    return Trained(
        str(out / MODEL), key, reused, read.samples, sum(row.duplicates for row in read.sources), rejected,
        counts["cut"], counts["unlearnable"], model.TrainReport(**report),
    )  # fmt: skip


def run_here(steps: list[Step], store: Store) -> None:
    """Run steps that are not in the store yet, in this process."""
    with planning.Inline() as here:
        planning.run(steps, store, here)
