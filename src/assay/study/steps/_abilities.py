"""Measure a model by other programs' tasks and by known benchmarks: a score for each item of a task."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from assay import data, judging, model
from assay.core import AssayError, end_with_parent, other_python
from assay.plan import Estimate, Step, StepContext
from assay.study._config import HarnessConfig, MeasureConfig
from assay.study.steps._base import Base, subject_of
from assay.study.steps._open import OPENERS, Opened, Runtime
from assay.study.steps._read import expand, place_digest

SCORES, FACTS = "scores.parquet", "harness.json"
_LIKELIHOOD = "loglikelihood"
_UNREACHED = re.compile(r"Couldn't (reach|find)|ConnectionError|LocalEntryNotFound|Offline", re.IGNORECASE)
"""How a harness ends where a data set is neither here nor to be had from the hub."""


@dataclass(frozen=True, slots=True)
class Harness:
    """A program that measures models by tasks of its own, in an environment of its own."""

    name: str
    title: str
    module: str
    variable: str
    script: str
    packages: str


HARNESSES: Mapping[str, Harness] = {
    "lm_eval": Harness(
        "lm_eval", "lm-evaluation-harness", "lm_eval", "ASSAY_LM_EVAL_PYTHON", "_lm_eval_job.py", "lm-eval"
    ),
    "inspect": Harness(
        "inspect", "inspect-ai", "inspect_ai", "ASSAY_INSPECT_PYTHON", "_inspect_job.py", "inspect-ai"
    ),
}


def harness_python(harness: Harness, named: str | None) -> str:
    """Return the python that measures: as named (or its environment's folder), by its variable, or ours.

    Raises :class:`AssayError` where none is named and this environment does not have the program.
    """
    setting = "where.harness"
    found = other_python(named, harness.variable, harness.module, title=harness.title, setting=setting)
    if found is None:
        raise AssayError(
            f"{harness.title} is not installed here", place=f"evaluation.{harness.name}",
            expected=f"{setting} or {harness.variable}: the environment that has it",
            hint=f"python -m venv ENV && ENV/bin/pip install {harness.packages} torch transformers",
        )  # fmt: skip
    return found


def ability_steps(
    asked: HarnessConfig,
    subject: Step | Base,
    measure: MeasureConfig,
    runtime: Runtime,
    *,
    base: Base | None,
    folder: Path,
    python: str | None,
    threads: int,
    template: str,
    label: str,
) -> Iterator[tuple[str, Step]]:
    """Yield the steps that measure a model by benchmarks and by each harness that is asked for, by name."""
    measured = subject_of(subject, base)
    where = {"vllm": runtime.vllm, **measured.where}
    settings: dict[str, Any] = {"limit": asked.limit, "max_tokens": measure.max_tokens, "threads": threads}
    settings |= {"max_new_tokens": asked.max_new_tokens, "template": template, **runtime.settings()}
    settings, inputs = {**settings, **measured.settings}, measured.inputs
    own_base = base or subject
    kind = f"{own_base.digest[:12] if isinstance(own_base, Base) else ''} {runtime.device}".strip()
    parts = _sets_parts(asked, folder) if asked.sets else None
    if parts is not None:
        own, there = parts
        yield "sets", Step(
            "benchmarks", judging.BENCHMARKS, f"{__name__}:measure_sets", {**settings, **own}, inputs,
            where={**where, **there}, label=label, estimate=Estimate(seconds=20, kind=kind),
        )  # fmt: skip
    for name, harness in HARNESSES.items():
        if getattr(asked, name):
            own, there = _harness_parts(asked, harness, folder, python)
            yield name, Step(
                name.replace("_", "-"), 1, f"{__name__}:measure_harness", {**settings, **own}, inputs,
                where={**where, **there}, label=label, estimate=Estimate(seconds=60, kind=kind),
            )  # fmt: skip


def _sets_parts(asked: HarnessConfig, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return identity and places of benchmarks."""
    files = set_places(asked, folder)
    digests = {name: place_digest(path) for name, path in files.items()}
    return {"sets": digests, "choices": asked.choices}, {"sets": files}


def _harness_parts(
    asked: HarnessConfig, harness: Harness, folder: Path, python: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return identity and places of what a harness measures."""
    tasks: tuple[str, ...] = getattr(asked, harness.name)
    known = task_places(tasks, folder) if harness.name == "inspect" else {}
    data_folder = None if asked.data is None else str((folder / asked.data).resolve())
    own: dict[str, Any] = {"harness": harness.name, "chat": asked.chat}
    own["tasks"] = [[task, place_digest(known[task])] if task in known else task for task in tasks]
    own["data"] = None if data_folder is None else place_digest(data_folder)
    there = {"tasks": [_named(task, known) for task in tasks], "data": data_folder}
    return own, {**there, "python": harness_python(harness, python)}


def _named(task: str, known: Mapping[str, str]) -> str:
    """Return a task as a harness finds it: a file by its place, with the name of the task in it."""
    if task not in known:
        return task
    return "@".join([known[task], *task.split("@")[1:]])


def set_places(asked: HarnessConfig, folder: Path) -> dict[str, str]:
    """Return the benchmarks of a study by name: a file, or a name that the data folder has a file of."""
    found: dict[str, str] = {}
    for index, given in enumerate(asked.sets):
        known = [] if asked.data is None else sorted((folder / asked.data).glob(f"{given}.jsonl*"))
        (path,) = map(str, known[:1]) if known else expand((given,), folder, f"evaluation.sets[{index}]")
        found[Path(path).name.split(".")[0]] = path
    if len(found) < len(asked.sets):
        raise AssayError("two sets have one name", place="evaluation.sets", value=list(asked.sets))
    return found


def task_places(tasks: Sequence[str], folder: Path) -> dict[str, str]:
    """Return the places of tasks that are files (``path/to/task.py@name`` keeps its name)."""
    return {task: expand((task.split("@")[0],), folder, "evaluation.inspect")[0] for task in tasks}


def measure_sets(context: StepContext) -> None:
    """Answer the questions of benchmarks, or say which choice is likeliest: ``scores.parquet``."""
    config, made = context.config, context.inputs.get("model")
    folder = Path(context.where["model"]) if made is None else made / "model"
    model.set_threads(config["threads"])
    rows: list[tuple[str, str, float]] = []
    with OPENERS[config["backend"]](folder, context) as opened:
        for name in config["sets"]:
            asked = judging.read_benchmark(Path(context.where["sets"][name]), config["limit"])
            likely = [q for q in asked if q.choices and config["choices"] == _LIKELIHOOD]
            rows += [(name, *row) for row in _likeliest(opened, likely, context)]
            rows += [
                (name, *row) for row in _answered(opened, [q for q in asked if q not in likely], context)
            ]
    _write(rows, context.out)


def _likeliest(
    opened: Opened, asked: Sequence[judging.Question], context: StepContext
) -> Iterator[tuple[str, float]]:
    """Yield each question with whether its right letter is the likeliest; one too long is left out."""
    items = [question.sample(letter) for question in asked for letter in question.choices]
    losses = iter(
        opened.reference_loss(items, max_tokens=context.config["max_tokens"], advance=context.progress)
    )
    for question in asked:
        own = [next(losses) for _ in question.choices]
        if all(loss is not None and not loss.cut for loss in own):
            nats = [loss.nats for loss in own if loss is not None]
            yield question.id, float(question.choices[nats.index(min(nats))] == question.key)


def _answered(
    opened: Opened, asked: Sequence[judging.Question], context: StepContext
) -> Iterator[tuple[str, float]]:
    decoding = model.Decoding(max_new_tokens=context.config["max_new_tokens"])
    answers = opened.answer([question.sample() for question in asked], decoding, advance=context.progress)
    for question, given in zip(asked, answers, strict=True):
        yield question.id, question.score(given.text)


def measure_harness(context: StepContext) -> None:
    """Measure a model by another program: ``scores.parquet``, and ``harness.json`` with its version."""
    config, where, scratch = context.config, context.where, context.out / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    request = {
        "model": str(_whole_model(context).resolve()), "tasks": where["tasks"], "data": where["data"],
        "out": str((scratch / "items.json").resolve()), "logs": str((scratch / "logs").resolve()),
        "device": config["device"], "batch_size": 16, "temperature": 0.0,
        **{name: config[name] for name in ("limit", "max_tokens", "max_new_tokens", "chat")},
    }  # fmt: skip
    (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
    _run(HARNESSES[config["harness"]], where["python"], scratch, offline=where["data"] is not None)
    found = json.loads((scratch / "items.json").read_text(encoding="utf-8"))
    rows = [(str(task), str(item), float(value)) for task, item, value in found["rows"]]
    if outside := [row for row in rows if not 0 <= row[2] <= 1]:
        raise AssayError(
            "the task's first metric is no score from 0 to 1", place=f"evaluation.{config['harness']}",
            value=outside[0], hint="choose another task; `assay import` reads any metric",
        )  # fmt: skip
    _write(rows, context.out)
    data.write_json(context.out / FACTS, {name: found[name] for name in ("metrics", "versions")})


def _whole_model(context: StepContext) -> Path:
    """Return the folder of a model as other programs load it: an adapter is merged into its base."""
    made = context.inputs.get("model")
    folder = Path(context.where["model"]) if made is None else made / "model"
    if context.where["base"] is None or not (folder / "adapter_config.json").is_file():
        return folder
    out = context.out / "scratch" / "merged"
    model.merge(
        folder, out, base=Path(context.where["base"]), dtype="fp32", template=context.config["template"]
    )
    return out


def _run(harness: Harness, python: str, scratch: Path, *, offline: bool) -> None:
    """Run the harness's script to its end; raise with its last words where it fails."""
    # With a folder of task data nothing is to be looked for elsewhere, which takes minutes without a network.
    variables = {**os.environ, **({"HF_HUB_OFFLINE": "1"} if offline else {})}
    script, log = Path(__file__).with_name(harness.script), scratch / "log.txt"
    with log.open("wb") as said:
        ended = subprocess.run(  # noqa: S603 - the python that the user names
            [python, str(script), str(scratch / "request.json")], stdin=subprocess.DEVNULL, stdout=said,
            stderr=said, env=variables, check=False, preexec_fn=partial(end_with_parent, os.getpid()),
        )  # fmt: skip
    if ended.returncode or not (scratch / "items.json").is_file():
        raise harness_failure(harness, log, ended.returncode, offline=offline)


def harness_failure(harness: Harness, log: Path, status: int, *, offline: bool) -> AssayError:
    """Return the error for a harness that ended badly: its last words, and what to do."""
    last = log.read_text(encoding="utf-8", errors="replace").strip().split("\n")[-1]
    hint = f"its output: {log}"
    if _UNREACHED.search(last):
        there = "it is not in the folder `data`" if offline else "the hub cannot be reached"
        hint = f"{there}: give the folder a copy of the data set's repository by that name; {hint}"
    return AssayError(
        f"{harness.title} failed: {last or 'it said nothing'}", place=f"evaluation.{harness.name}",
        value=f"exit status {status}", expected="a result for every task", hint=hint,
    )  # fmt: skip


def _write(rows: Sequence[tuple[str, str, float]], out: Path) -> None:
    import polars

    schema = {"task": polars.String, "item": polars.String, "score": polars.Float64}
    polars.DataFrame(rows, schema=schema, orient="row").write_parquet(out / SCORES)
