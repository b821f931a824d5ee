"""Verbs of single models and of tables of points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assay.verbs import _progress as progress

if TYPE_CHECKING:
    from assay.core import CurvePower, Reading
    from assay.jobs import Answered, Trained


def train(
    place: str,
    out: Path,
    *,
    base: str = "pocket",
    recipe: str | None = None,
    set: list[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    processes: int = 1,
    strategy: Literal["fsdp", "zero2", "zero3"] = "fsdp",
    offload: bool = False,
    machines: int = 1,
    address: str | None = None,
    store: Path = Path(".assay"),
) -> Trained:
    """Fine-tune a base model on all samples of a data set, once. Resumes by itself; changed data train anew.

    Example: `assay train alpaca.jsonl tuned --base pocket --recipe pocket`

    Parameters
    ----------
    place
        A file, folder or id of samples.
    out
        Folder of the run; the model is in `out/model`, the rows that were rejected in `out/rejected.jsonl`.
    base
        `pocket`, a folder, or a Hugging Face id.
    recipe
        A preset: pocket, belle or belle-lora (the default is the one that fits the base).
    set
        A setting laid over the preset, `key=value` (adapter=qlora); may be repeated.
    seed
        Fixes order and dropout.
    device
        auto, cpu or cuda.
    processes
        How many share the training, one a GPU; the model is the same up to rounding.
    strategy
        How they share it: fsdp, or DeepSpeed's zero2 or zero3.
    offload
        Keep what is shared out in the machine's memory.
    machines
        Over how many machines; what to run on the others is printed.
    address
        Of this machine, as the others reach it.
    store
        Where finished trainings are kept: what is there is not trained again.
    """
    from assay import jobs
    from assay.model import Launch

    launch = Launch(processes, strategy, offload, machines, address)
    return jobs.train_once(
        place,
        out,
        base=base,
        recipe=recipe,
        changes=set or (),
        seed=seed,
        device=device,
        launch=launch,
        store=store,
        quiet=progress.quiet,
    )


def answer(
    model: str,
    place: str,
    out: Path,
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    seed: int = 0,
    vllm: str | None = None,
    store: Path = Path(".assay"),
) -> Answered:
    """Let a model answer the prompts of an evaluation set; losses and scores where references allow.

    Example: `assay answer tuned/model eval.jsonl answers.jsonl`

    Parameters
    ----------
    model
        `pocket`, a folder, a Hugging Face id, or a model of a study (study:arm/rung).
    place
        The evaluation set.
    out
        JSONL file of answers, losses and scores.
    max_new_tokens
        Answers are cut here.
    temperature
        0 is greedy.
    seed
        Fixes sampling.
    vllm
        The python of an environment with vLLM, which then answers (or in ASSAY_VLLM_PYTHON).
    store
        Where finished answers are kept: what is there is not answered again.
    """
    from assay import jobs

    return jobs.answer_once(
        model,
        place,
        out,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        quiet=progress.quiet,
        vllm=vllm,
        store=store,
    )


def curve(
    table: Path,
    *,
    satisfied_at: float | None = None,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    reach: float = 2.0,
    form: str | None = None,
    price: float | None = None,
    plot: Path | None = None,
) -> Reading:
    """Read curves from any table: verdicts, next runs, best sizes, double descent, balance points.

    Example: `assay curve results.csv --satisfied-at 0.8 --plot curves.html`

    Parameters
    ----------
    table
        CSV, TSV or Parquet with columns n_train and score or loss; type, seed, arm, n_eval and se if known.
    satisfied_at
        The score that satisfies.
    smallest_gain
        The smallest gain from a doubling that matters, in score.
    smallest_relative_gain
        The same for losses, as a share of the last loss.
    reach
        How far to predict, in largest sizes: 2, at most 4; beyond 2 is speculative.
    form
        Use one curve form (bnsl, power, or a plugin's) instead of the posterior over families.
    price
        What 1,000 samples cost, for the gain per unit of money.
    plot
        Write a chart here: .html, .svg, .png or .json.
    """
    from assay import jobs

    return jobs.curves_of_table(
        table,
        satisfied_at=satisfied_at,
        smallest_gain=smallest_gain,
        smallest_relative_gain=smallest_relative_gain,
        reach=reach,
        form=form,
        price=price,
        plot=plot,
    )


def curve_power(
    rungs: list[int],
    *,
    seeds: int = 3,
    n_eval: int = 100,
    run_sd: float = 0.01,
    item_sd: float = 0.3,
    wanted: float = 0.02,
    smallest_gain: float = 0.01,
    types: int = 12,
) -> CurvePower:
    """Say before any run what a ladder can show: detectable effects, items and seeds wanted.

    Example: `assay curve power 1000 2000 4000 8000 --seeds 3 --n-eval 200 --wanted 0.02`

    Parameters
    ----------
    rungs
        Sizes of the ladder.
    seeds
        Seeds at each size.
    n_eval
        Evaluation items per type.
    run_sd
        Standard deviation of a type's score between seeds.
    item_sd
        Standard deviation of the scores of a type's items; 0.5 for right or wrong at one half.
    wanted
        The effect to be seen, in score.
    smallest_gain
        The smallest gain from a doubling that matters, for the chances of a verdict.
    types
        How many types share the headline.
    """
    from assay.curves import curve_power as power

    return power(
        rungs,
        seeds=seeds,
        n_eval=n_eval,
        run_sd=run_sd,
        item_sd=item_sd,
        wanted=wanted,
        smallest_gain=smallest_gain,
        types=types,
    )
