"""The public functions: lazy, typed, the same as their commands, and with examples that run."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

import assay
from assay import cli
from assay._catalogue import CATALOGUE, GROUPS, PUBLIC, python_name
from assay._command import Options, options_of
from assay.data import synthetic

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    "numpy",
    "scipy",
    "polars",
    "pyarrow",
    "torch",
    "transformers",
    "rich",
    "pydantic",
    "cyclopts",
    "yaml",
)
SLOW = (
    "torch",
    "transformers",
    "scipy.stats",
    "numba",
    "pandas",
    "fastapi",
    "sqlalchemy",
    "openai",
    "altair",
)
WORDS = "red green old new small great cold warm dry wet".split()
KEYWORD = inspect.Parameter.KEYWORD_ONLY
UNRUN = {
    # Only a chat model, a person or minutes of training would answer.
    "generate", "judge", "judge estimate", "judge pairs", "annotate", "annotate status", "annotate export",
    "chat", "serve", "demo", "rule design", "rule run", "rule fit", "rule check",
    "rule transfer", "forecast fit", "search", "study whole",
    "mix design", "mix run", "mix allocate", "study next",
}  # fmt: skip


def public(command: str) -> Callable[..., Any]:
    """Return the function that a command is, by its name in Python."""
    found: Any = assay
    for part in python_name(command).split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def test_import_assay_imports_nothing_heavy() -> None:
    script = f"import sys, assay; print(*sorted({{*{HEAVY!r}}} & {{*sys.modules}}), len(sys.modules))"
    bare = "import sys, dataclasses, importlib, typing; print(len(sys.modules))"
    found, small = (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for code in (script, bare)
    )
    assert len(found) == 1, found
    assert int(found[0]) - int(small[0]) < 10, "the catalogue and nothing else"


def test_loading_every_command_brings_no_torch() -> None:
    """What a command only may need comes when it needs it: torch takes seconds, scipy's statistics one."""
    script = (
        "import sys\nfrom assay._catalogue import CATALOGUE\n[e.load() for e in CATALOGUE.values()]\n"
        f"print(*sorted({{*{SLOW!r}}} & {{*sys.modules}}))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.split() == []


def test_every_name_of_the_catalogue_is_there() -> None:
    assert {"__version__", *PUBLIC, *GROUPS} <= set(dir(assay))
    for name in (*PUBLIC, *GROUPS):
        assert getattr(assay, name).__doc__, name
    for command, entry in CATALOGUE.items():
        assert public(command) is entry.load(), f"{command} is shadowed"
        assert entry.load().__name__ == python_name(command).rpartition(".")[2]
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        assay.scores  # noqa: B018


def wanted(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments of a function by the names that a command line has, sets of options laid flat."""
    options, found = options_of(function), {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in options:
            found[name] = parameter.default
    for one in options.values():
        found = {**{name: default for name, _, default in one.fields()}, **found}
    return found


def offered(app: App, *words: str) -> dict[str, Any]:
    """Return what the command line takes, as cyclopts parses it."""
    for word in words:
        app = app[word]
    found = {}
    for argument in app.assemble_argument_collection():
        name = argument.field_info.name
        # A word that Python keeps for itself ends in an underscore there: for_.
        assert (
            f"--{name.rstrip('_').replace('_', '-')}" in argument.names or argument.field_info.kind != KEYWORD
        )
        found[name] = argument.field_info.default
    return found


@pytest.mark.parametrize("command", list(CATALOGUE))
def test_command_and_function_take_the_same(command: str) -> None:
    function = public(command)
    assert offered(cli.build(command), *command.split()) == wanted(function)


@pytest.mark.parametrize("command", list(CATALOGUE))
def test_every_argument_is_described(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    function = public(command)
    section = inspect.getdoc(function).partition("\nParameters\n")[2].partition("\nRaises\n")[0]  # type: ignore[union-attr]
    described = set(re.findall(r"^(\w+)\n    \S", section, flags=re.M))
    assert described == set(inspect.signature(function).parameters)
    for one in options_of(function).values():
        told = {
            n
            for kind in one.kind.__mro__[:-1]
            for n in re.findall(r"^(\w+)\n    \S", inspect.cleandoc(kind.__doc__ or ""), re.M)
        }
        assert {field.name for field in dataclasses.fields(one.kind)} <= told


def test_options_are_laid_over_the_functions_own_defaults() -> None:
    models = options_of(assay.explain)["models"]
    assert models.gather({}).embedder == "lexical"
    given = models.gather({"base": "other"})
    assert (given.base, given.embedder, given.cache) == ("other", "lexical", Path(".assay/scores"))
    chat = options_of(assay.evalset.classify)["chat"]
    unset = {name: default for name, _, default in chat.fields()}
    assert chat.gather(unset) is None, "no chat model is asked"
    with pytest.raises(assay.AssayError, match="--model"):
        chat.gather(unset | {"base_url": "http://127.0.0.1:1"})
    assert isinstance(chat, Options)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the small files that examples speak of."""
    monkeypatch.chdir(tmp_path)
    rng, samples = random.Random(0), []
    for planted in synthetic.generate(40, seed=0):
        words = " ".join(
            rng.choice("red green old new small great cold warm dry wet".split()) for _ in range(20)
        )
        turns = (*planted.sample.prompt, assay.Message("assistant", f"{planted.sample.answer}, {words}."))
        samples.append(dataclasses.replace(planted.sample, messages=turns))
    assay.load(samples).write("pool.jsonl")
    assay.load([p.sample for p in synthetic.generate(24, seed=1, split="eval")]).write("eval.jsonl")
    rows = [
        {"item": s.id, "type": "math", "method": "m", "score": k % 2 / 2, "group": None}
        for k, s in enumerate(samples)
    ]
    for name in ("judged", "people"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with assay.quiet():
        yield tmp_path


def run_examples(thing: Any, name: str) -> int:
    """Run the examples of a docstring; return how many there are."""
    tests = doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", {"assay": assay}, name, None, 0)
    runner, told = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), list[str]()
    runner.run(tests, out=told.append)
    assert not runner.failures, "".join(told)
    return len(tests.examples)


TINY: dict[str, Any] = {
    "name": "tiny", "pool": "pool.jsonl", "evaluation": "eval.jsonl", "ladder": {"rungs": [16], "seeds": 1},
    "measure": {"answers": False, "text": False},
}  # fmt: skip


@pytest.mark.parametrize("command", [c for c in CATALOGUE if c not in UNRUN])
def test_examples_run(command: str, folder: Path) -> None:
    if command in ("status", "gc", "doctor store", "study report"):
        assay.study.run(TINY, pool="inline", out=folder)
    assert run_examples(public(command), command) > 0


@pytest.mark.parametrize("thing", [assay, assay.load])
def test_examples_of_what_is_no_command_run(thing: Any, folder: Path) -> None:
    assert run_examples(thing, "assay") > 0


def test_few_examples_are_only_shown() -> None:
    assert set(CATALOGUE) > UNRUN and len(UNRUN) < len(CATALOGUE) / 2
    for command in ("generate", "judge", "judge estimate", "judge pairs"):
        assert "# doctest: +SKIP" in (public(command).__doc__ or ""), (
            "what a chat model would answer is shown"
        )


def test_the_hello_world_of_the_readme_runs(folder: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert len(code.strip().splitlines()) <= 15
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["best"].samples and names["kept"].removed is not None
    assert names["reading"].curves["overall"].verdict.word == "rising"


def test_values_show_themselves(folder: Path) -> None:
    pool = assay.load("pool.jsonl")
    table = assay.score(pool, ["len_out"])
    rows = [{"n_train": 1000 * 2**k, "score": 0.1 * k} for k in range(4)]
    shown: list[Any] = [
        pool,
        table,
        assay.clean(pool),
        assay.select(table, top=5, by="len_out"),
        assay.curve(rows),
    ]
    shown += [assay.study.run(TINY, pool="inline", out="report"), assay.estimate("pocket")]
    for value in shown:
        assert value is shown[-1] or len(repr(value)) < 100
        assert value._repr_html_().startswith('<div class="assay">')


def test_memory_and_files_agree(folder: Path) -> None:
    rows = [json.loads(line) for line in Path("pool.jsonl").read_text("utf-8").splitlines()]
    pool = assay.load([*rows, rows[3], {"instruction": ""}])
    assert len(pool) == 41 and pool.rejected[0].reason == "the instruction is empty"
    assert isinstance(pool[2:5], assay.Dataset) and len(pool[2:5]) == 3 and pool[0] == pool.samples[0]
    files = {path.name for path in folder.iterdir()}
    kept = assay.clean(pool)
    assert {path.name for path in folder.iterdir()} == files, "nothing is written unasked"
    assert [r.rule for r in kept.removed] == ["rejected", "exact"]
    written = assay.clean(pool, out="kept.jsonl")
    assert [s.id for s in written.samples] == [s.id for s in kept.samples]
    assert (
        written.removed == kept.removed
        and dataclasses.replace(written, out=None, receipts=None, page=None) == kept
    )
    table, filed = assay.score(kept.samples, "mtld"), assay.score("kept.jsonl", "mtld", out="s.parquet")
    assert table.frame["mtld"].to_list() == filed.frame["mtld"].to_list()
    assert table.to_parquet("t.parquet").read_bytes() and table.indicators == filed.indicators
    best = assay.select(table, top=7, by="mtld")
    chosen = assay.select(["kept.jsonl"], n=7, by="mtld", scores="s.parquet", out="best.jsonl")
    assert best.ids == chosen.ids and len(best.ids) == 7
    assert {n: [s.id for s in d] for n, d in best.baselines.items()} == {
        n: [s.id for s in d] for n, d in chosen.baselines.items()
    }
    with pytest.raises(assay.AssayError, match="--n"):
        assay.select(table, by="mtld")
    with pytest.raises(assay.AssayError, match="no samples and no place"):
        assay.load(3)  # type: ignore[arg-type]


def test_tables_of_others_are_read() -> None:
    import polars

    rows = [{"instruction": "Add.", "output": "5"}, {"instruction": "Go.", "output": "So."}]
    assert [s.answer for s in assay.load(polars.DataFrame(rows))] == ["5", "So."]
    points = polars.DataFrame({"n_train": [1, 2, 4], "score": [0.1, 0.2, 0.3]})
    assert assay.read_points(points) == assay.read_points(points.to_dicts())  # type: ignore[arg-type]


def test_curves_are_found_by_type(folder: Path) -> None:
    rows = [
        {"type": t, "n_train": 1000 * 2**k, "seed": s, "score": 0.3 + 0.08 * k + 0.004 * s}
        for t in ("math", "code") for k in range(5) for s in range(3)
    ]  # fmt: skip
    curves = assay.curve(rows).curves
    assert curves["math"] is curves["math", "random", "score"] and curves["math"].type == "math"
    assert (
        isinstance(curves, tuple) and curves[0].type in ("math", "code", "overall") and len(curves[:2]) == 2
    )
    with pytest.raises(assay.AssayError, match="math"):
        curves["maths"]


def test_a_pool_is_cleaned_against_another(folder: Path) -> None:
    pool = assay.load("pool.jsonl")
    found = assay.clean(pool, against=pool[:10])
    assert len(found.samples) == 30 and {removal.rule for removal in found.removed} == {"exact"}
    asked = [{"instruction": "Is it so?", "output": answer} for answer in ("Yes, it is.", "No, it is not.")]
    assert assay.clean(asked).conflicts == 1 and not assay.clean(asked, conflicts="drop").samples
