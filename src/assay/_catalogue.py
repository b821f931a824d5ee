"""The public catalogue: what :mod:`assay` offers and where it is; the command line is made from it too.

The command ``assay study run`` is :func:`assay.study.run`; where a group is itself a function its further
commands join with an underscore: ``assay judge calibrate`` is :func:`assay.judge_calibrate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

STAGES = ("data", "select", "study", "judge", "release", "other")
"""The groups of ``assay --help``, in the order of work."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its stage, the function (module:name), a line for lists, and what an interruption leaves."""

    stage: str
    place: str
    says: str
    resumes: bool = False

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        found: Callable[..., Any] = _load(self.place)
        return found


CATALOGUE: Mapping[str, Entry] = {
    "data inspect": Entry("data", "assay.data._inspect:inspect", "Count a data set, with rejected rows."),
    "data convert": Entry("data", "assay.data._write:convert", "Convert data sets to another format."),
    "data show": Entry("data", "assay.jobs._data:show", "Show one sample as the model sees it."),
    "data testbed": Entry("data", "assay.data._testbed:testbed", "Generate synthetic samples."),
    "generate": Entry("data", "assay.jobs._generate:generate", "Generate samples by self-instruct.", True),
    "evalset split": Entry("data", "assay.jobs._evalset:split", "Split evaluation items off a pool."),
    "evalset classify": Entry("data", "assay.jobs._typing:classify", "Classify items into the twelve types."),
    "evalset sample": Entry("data", "assay.jobs._evalset:sample", "Sample enough items per type."),
    "annotate": Entry("data", "assay.jobs._annotate:annotate", "Annotate items in the browser.", True),
    "annotate status": Entry("data", "assay.jobs._annotate:annotate_status", "Show annotation progress."),
    "annotate export": Entry("data", "assay.jobs._annotate:annotate_export", "Export corrected items."),
    "score": Entry("select", "assay.jobs._score:score", "Measure quality indicators of every sample."),
    "clean": Entry("select", "assay.jobs._clean:clean", "Remove duplicates, broken rows and leaks."),
    "select": Entry("select", "assay.jobs._select:select", "Select samples, with baselines."),
    "explain": Entry("select", "assay.jobs._explain:explain", "Explain why a sample was kept or dropped."),
    "rule design": Entry("select", "assay.study._rule:design", "Choose the training subsets.", True),
    "rule run": Entry("select", "assay.study._rule:run", "Train on the subsets.", True),
    "rule fit": Entry("select", "assay.study._rule:fit", "Fit the rule to the measured losses.", True),
    "rule check": Entry("select", "assay.study._rule:check", "Test the rule against random samples.", True),
    "rule transfer": Entry(
        "select", "assay.study._transfer:transfer", "Test whether a rule carries over to other studies.", True
    ),
    "mix design": Entry("select", "assay.study._mix:design", "Choose mixtures that separate the types."),
    "mix run": Entry("select", "assay.study._mix:run", "Train on the mixtures.", True),
    "mix fit": Entry("select", "assay.study._mix:fit", "Show which type helps or hurts which."),
    "mix confirm": Entry(
        "select", "assay.study._mix_confirm:confirm", "Try the largest effects at another size.", True
    ),
    "mix allocate": Entry("select", "assay.study._mix_allocate:allocate", "Divide a total among the types."),
    "search": Entry("select", "assay.study._search:search", "Find the best size of a selection.", True),
    "recipe check": Entry("study", "assay.study._recipe:check", "Try learning rates before a study.", True),
    "demo": Entry("study", "assay.study._run:demo", "Run a small study in about two minutes, offline.", True),
    "new": Entry("study", "assay.jobs._new:new", "Write a study file from a look at the data."),
    "study run": Entry("study", "assay.study._run:run", "Run a study from data to report.", True),
    "study plan": Entry("study", "assay.study._run:plan", "Preview a study: steps, time, disk."),
    "study report": Entry("study", "assay.study._run:report", "Rebuild a study's report."),
    "study handoff": Entry(
        "study", "assay.study._handoff:handoff", "Write a study's runs for another trainer."
    ),
    "study collect": Entry(
        "study", "assay.study._handoff:collect", "Take back runs that were handed over.", True
    ),
    "study next": Entry("study", "assay.study._next:next", "Choose the next data to get for a budget."),
    "forecast": Entry(
        "study", "assay.study._forecast:forecast", "Forecast which types will need most data.", True
    ),
    "forecast fit": Entry(
        "study", "assay.study._forecast:forecast_fit", "Fit a forecast on finished studies.", True
    ),
    "estimate": Entry(
        "study", "assay.jobs._estimate:estimate", "Estimate memory and time of a training run."
    ),
    "train": Entry("study", "assay.jobs._train:train", "Fine-tune a base model.", True),
    "answer": Entry("study", "assay.jobs._answer:answer", "Generate and score a model's answers.", True),
    "curve": Entry("study", "assay.jobs._curve:curve", "Fit learning curves to a table of results."),
    "import": Entry("study", "assay.jobs._import:import_runs", "Import runs of other tools."),
    "curve power": Entry("study", "assay.curves._power:curve_power", "Plan sizes, seeds and items."),
    "judge": Entry("judge", "assay.jobs._judging:judge", "Score answers with a judge model.", True),
    "judge estimate": Entry("judge", "assay.jobs._judging:judge_estimate", "Estimate the cost of judging."),
    "judge calibrate": Entry(
        "judge", "assay.jobs._judging:judge_calibrate", "Calibrate a judge against people."
    ),
    "judge compare": Entry("judge", "assay.jobs._judging:judge_compare", "Compare two models type by type."),
    "judge pairs": Entry("judge", "assay.jobs._judging:judge_pairs", "Compare answers in pairs.", True),
    "export": Entry("release", "assay.release._export:export", "Export a model to other formats.", True),
    "chat": Entry("release", "assay.jobs._chat:chat", "Chat with a model in the terminal."),
    "serve": Entry("release", "assay.jobs._chat:serve", "Serve models over the OpenAI API."),
    "vocabulary extend": Entry("other", "assay.jobs._vocabulary:extend", "Add tokens to a base model."),
    "status": Entry("other", "assay.jobs._store:status", "List studies and disk usage."),
    "gc": Entry("other", "assay.jobs._store:gc", "Delete objects no study needs."),
    "schema": Entry("other", "assay.study._schema:schema", "Print the JSON schema of study files."),
    "completion": Entry("other", "assay.cli:completion", "Print completion for a shell."),
    "doctor": Entry("other", "assay.jobs._doctor:doctor", "Show what is installed and what it serves."),
    "doctor store": Entry("other", "assay.jobs._store:doctor_store", "Verify every object in the store."),
}
"""Command to function, in the order of work."""

GROUPS: Mapping[str, str] = {
    "data": "Inspect, convert and generate data sets.",
    "evalset": "Build an evaluation set: split, classify, sample.",
    "mix": "Find out which type of data helps or hurts which.",
    "recipe": "Check a training recipe before a study.",
    "rule": "Fit and test a quality rule on your own fine-tuning runs.",
    "study": "Plan, run and report studies.",
    "vocabulary": "Add tokens to a base model.",
}
"""Groups that are no command themselves: packages and modules of :mod:`assay`."""

OTHERS: Mapping[str, str] = {
    "load": "assay.jobs._pool:load",
    "quiet": "assay.plan:quiet",
    "read_points": "assay.jobs._curve:read_points",
    "Answered": "assay.jobs._answer:Answered",
    "AssayError": "assay.core:AssayError",
    "ChatConfig": "assay.llm:ChatConfig",
    "Cleaned": "assay.jobs._clean:Cleaned",
    "Dataset": "assay.jobs._pool:Dataset",
    "Imported": "assay.jobs._import:Imported",
    "FilterRules": "assay.generation:FilterRules",
    "JudgeConfig": "assay.judging:JudgeConfig",
    "Launch": "assay.model:Launch",
    "Message": "assay.core:Message",
    "Models": "assay.indicators:Models",
    "Point": "assay.core:Point",
    "Reading": "assay.core:Reading",
    "Sample": "assay.core:Sample",
    "ScoreTable": "assay.jobs._score:ScoreTable",
    "Selection": "assay.jobs._select:Selection",
    "StudyConfig": "assay.study:StudyConfig",
    "StudyResult": "assay.core:StudyResult",
    "Trained": "assay.jobs._train:Trained",
}
"""What is no command: values, sets of options, and what only Python needs."""


KEYWORDS: Mapping[str, str] = {"import": "import_runs"}
"""Commands whose name Python keeps for itself, and what they are called there."""


def python_name(command: str) -> str:
    """Return what a command is called in Python: ``study.run``, ``judge_calibrate``, ``score``."""
    if command in KEYWORDS:
        return KEYWORDS[command]
    group = command.split()[0]
    return command.replace(" ", "." if group in GROUPS else "_")


PUBLIC: Mapping[str, str] = {
    **{name: entry.place for c, entry in CATALOGUE.items() if "." not in (name := python_name(c))},
    **OTHERS,
}
"""Names of :mod:`assay` itself, and where they are."""


def find(name: str) -> Any:
    """Return a public name or package of :mod:`assay`; raises :class:`AttributeError` for any other."""
    if name in PUBLIC:
        return _load(PUBLIC[name])
    if name in GROUPS:
        return import_module(f"assay.{name}")
    raise AttributeError(f"module 'assay' has no attribute {name!r}")


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
