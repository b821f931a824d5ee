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

FREE: tuple[str, ...] = ()
"""What a command costs that reads, counts or shows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its stage, the function (module:name), a line for lists, and what an interruption leaves.

    ``costs``: what a command is counted by that trains, runs models, asks them or takes people's time; such a
    command says before what it takes, has a ``cap``, and says after what one of these took.
    """

    stage: str
    place: str
    says: str
    costs: tuple[str, ...]
    resumes: bool = False

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        found: Callable[..., Any] = _load(self.place)
        return found


CATALOGUE: Mapping[str, Entry] = {
    "data inspect": Entry(
        "data", "assay.data._inspect:inspect", "Count a data set, with rejected rows.", FREE
    ),
    "data convert": Entry("data", "assay.data._write:convert", "Convert data sets to another format.", FREE),
    "data show": Entry("data", "assay.jobs._data:show", "Show one sample as the model sees it.", FREE),
    "data testbed": Entry("data", "assay.data._testbed:testbed", "Generate synthetic samples.", FREE),
    "generate": Entry(
        "data", "assay.jobs._generate:generate", "Generate samples by self-instruct.", ("sample",), True
    ),
    "evalset split": Entry("data", "assay.jobs._evalset:split", "Split evaluation items off a pool.", FREE),
    "evalset classify": Entry(
        "data", "assay.jobs._typing:classify", "Classify items into the twelve types.", ("item",)
    ),
    "evalset sample": Entry("data", "assay.jobs._evalset:sample", "Sample enough items per type.", FREE),
    "annotate": Entry(
        "data", "assay.jobs._annotate:annotate", "Annotate items in the browser.", ("label",), True
    ),
    "annotate status": Entry(
        "data", "assay.jobs._annotate:annotate_status", "Show annotation progress.", FREE
    ),
    "annotate export": Entry("data", "assay.jobs._annotate:annotate_export", "Export corrected items.", FREE),
    "score": Entry(
        "select", "assay.jobs._score:score", "Measure quality indicators of every sample.", ("row",)
    ),
    "clean": Entry(
        "select", "assay.jobs._clean:clean", "Remove duplicates, broken rows and leaks.", ("row",)
    ),
    "select": Entry("select", "assay.jobs._select:select", "Select samples, with baselines.", ("row",)),
    "explain": Entry(
        "select", "assay.jobs._explain:explain", "Explain why a sample was kept or dropped.", ("row",)
    ),
    "rule design": Entry(
        "select", "assay.study._rule:design", "Choose the training subsets.", ("row",), True
    ),
    "rule run": Entry("select", "assay.study._rule:run", "Train on the subsets.", ("run",), True),
    "rule fit": Entry("select", "assay.study._rule:fit", "Fit the rule to the measured losses.", FREE, True),
    "rule check": Entry(
        "select", "assay.study._rule:check", "Test the rule against random samples.", ("verdict",), True
    ),
    "rule transfer": Entry(
        "select",
        "assay.study._transfer:transfer",
        "Test whether a rule carries over to other studies.",
        ("run", "verdict"),
        True,
    ),
    "mix design": Entry(
        "select", "assay.study._mix:design", "Choose mixtures that separate the types.", FREE
    ),
    "mix run": Entry("select", "assay.study._mix:run", "Train on the mixtures.", ("run", "verdict"), True),
    "mix fit": Entry("select", "assay.study._mix:fit", "Show which type helps or hurts which.", FREE),
    "mix confirm": Entry(
        "select",
        "assay.study._mix_confirm:confirm",
        "Try the largest effects at another size.",
        ("run", "verdict"),
        True,
    ),
    "mix allocate": Entry(
        "select", "assay.study._mix_allocate:allocate", "Divide a total among the types.", ("run", "verdict")
    ),
    "search": Entry(
        "select", "assay.study._search:search", "Find the best size of a selection.", ("run", "verdict"), True
    ),
    "recipe check": Entry(
        "study", "assay.study._recipe:check", "Try learning rates before a study.", ("run", "verdict"), True
    ),
    "demo": Entry(
        "study",
        "assay.study._run:demo",
        "Run a small study in about two minutes, offline.",
        ("row", "run", "verdict"),
        True,
    ),
    "new": Entry("study", "assay.jobs._new:new", "Write a study file from a look at the data.", FREE),
    "study run": Entry(
        "study", "assay.study._run:run", "Run a study from data to report.", ("row", "run", "verdict"), True
    ),
    "study whole": Entry(
        "study",
        "assay.study._whole:whole",
        "Run a study with its rule and its search.",
        ("row", "run", "verdict"),
        True,
    ),
    "study plan": Entry("study", "assay.study._run:plan", "Preview a study: steps, time, disk.", FREE),
    "study report": Entry("study", "assay.study._run:report", "Rebuild a study's report.", FREE),
    "study handoff": Entry(
        "study", "assay.study._handoff:handoff", "Write a study's runs for another trainer.", FREE
    ),
    "study collect": Entry(
        "study",
        "assay.study._handoff:collect",
        "Take back runs that were handed over.",
        ("row", "run", "verdict"),
        True,
    ),
    "study next": Entry("study", "assay.study._next:next", "Choose the next data to get for a budget.", FREE),
    "forecast": Entry(
        "study",
        "assay.study._forecast:forecast",
        "Forecast which types will need most data.",
        ("row", "type"),
        True,
    ),
    "forecast fit": Entry(
        "study", "assay.study._forecast:forecast_fit", "Fit a forecast on finished studies.", ("type",), True
    ),
    "estimate": Entry(
        "study", "assay.jobs._estimate:estimate", "Estimate memory and time of a training run.", FREE
    ),
    "train": Entry("study", "assay.jobs._train:train", "Fine-tune a base model.", ("row", "run"), True),
    "answer": Entry(
        "study", "assay.jobs._answer:answer", "Generate and score a model's answers.", ("item", "run"), True
    ),
    "answer turns": Entry(
        "study", "assay.jobs._dialogues:answer_turns", "Answer dialogues turn by turn.", ("item", "run"), True
    ),
    "curve": Entry("study", "assay.jobs._curve:curve", "Fit learning curves to a table of results.", FREE),
    "import": Entry("study", "assay.jobs._import:import_runs", "Import runs of other tools.", FREE),
    "curve power": Entry("study", "assay.curves._power:curve_power", "Plan sizes, seeds and items.", FREE),
    "judge": Entry(
        "judge", "assay.jobs._judging:judge", "Score answers with a judge model.", ("item",), True
    ),
    "judge estimate": Entry(
        "judge", "assay.jobs._judging:judge_estimate", "Estimate the cost of judging.", FREE
    ),
    "judge calibrate": Entry(
        "judge", "assay.jobs._judging:judge_calibrate", "Calibrate a judge against people.", FREE
    ),
    "judge compare": Entry(
        "judge", "assay.jobs._judging:judge_compare", "Compare two models type by type.", FREE
    ),
    "judge turns": Entry(
        "judge", "assay.jobs._dialogues:judge_turns", "Rate dialogues turn by turn.", ("item",), True
    ),
    "judge pairs": Entry(
        "judge", "assay.jobs._judging:judge_pairs", "Compare answers in pairs.", ("item",), True
    ),
    "export": Entry(
        "release", "assay.release._export:export", "Export a model to other formats.", ("file",), True
    ),
    "chat": Entry("release", "assay.jobs._chat:chat", "Chat with a model in the terminal.", FREE),
    "serve": Entry("release", "assay.jobs._chat:serve", "Serve models over the OpenAI API.", FREE),
    "vocabulary extend": Entry("other", "assay.jobs._vocabulary:extend", "Add tokens to a base model.", FREE),
    "status": Entry("other", "assay.jobs._store:status", "List studies and disk usage.", FREE),
    "gc": Entry("other", "assay.jobs._store:gc", "Delete objects no study needs.", FREE),
    "schema": Entry("other", "assay.study._schema:schema", "Print the JSON schema of study files.", FREE),
    "completion": Entry("other", "assay.cli:completion", "Print completion for a shell.", FREE),
    "doctor": Entry("other", "assay.jobs._doctor:doctor", "Show what is installed and what it serves.", FREE),
    "doctor store": Entry(
        "other", "assay.jobs._store:doctor_store", "Verify every object in the store.", FREE
    ),
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
