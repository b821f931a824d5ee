"""The catalogue: the same keys and placeholders in both languages, none unused, none missing, terms kept."""

from __future__ import annotations

import ast
import pkgutil
import re
import string
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core import Say, say
from assay.view import CATALOGUES, _words, words
from assay.view._says import changed, moved

SOURCES = Path(__file__).resolve().parents[2] / "src/assay"
CATALOGUE = SOURCES / "view/_words"

BANNED = {
    "zh": (
        "基础模型 token 梯级 一级 增益 判断 实验 评测项 题目 双下降 提名 预见 相遇 凭据 试验台 定论 "
        "奈特 较量 放得下"
    ).split(),
    "en": (
        "mend,thereof,whereof,foretold,deed,is said,told apart,buy +,settles it,left-out,foreseen,"
        "speaks against"
    ).split(","),
}
ALLOWED = {"无法判断"}
NO_NOUNS = set(
    "is has was does its as this loss holds adds lowers costs raises hurts carries stays takes".split()
)


@cache
def texts() -> dict[Path, str]:
    files = [p for p in SOURCES.rglob("*") if p.suffix in (".py", ".jinja") and CATALOGUE not in p.parents]
    return {path: path.read_text(encoding="utf-8") for path in files}


@cache
def scripted() -> str:
    """The scripts of reports, which ask for texts by what follows ``script.``: `t("by.type")`."""
    return "".join(p.read_text(encoding="utf-8") for p in sorted((SOURCES / "view/templates").glob("*.js")))


def spaces(path: Path) -> tuple[str, ...]:
    """Return the prefixes under which the package of a file looks its keys up first."""
    own = {"annotation": ("annotate.", "web."), "serving": ("serve.", "web."), "web": ("web.",)}
    return own.get(path.relative_to(SOURCES).parts[0], ())


def patterns(node: ast.AST) -> Iterator[str]:
    """Yield what each string may be, as regular expressions: in the holes of f-strings anything."""
    for child in ast.walk(node):
        if isinstance(child, ast.JoinedStr):
            parts = (re.escape(v.value) if isinstance(v, ast.Constant) else ".+" for v in child.values)
            yield "".join(map(str, parts))
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield re.escape(child.value)
            if child.value.startswith("@"):
                yield re.escape(child.value[1:]) + r"\..+"


@cache
def used() -> frozenset[str]:
    """Every pattern that the sources and templates hold and that could be a key."""
    found: set[str] = set()
    for path, text in texts().items():
        if path.suffix == ".py":
            own = set(patterns(ast.parse(text)))
        else:
            own = {
                (".+" if head else "") + re.escape(literal) + (".+" if tail or literal.endswith(".") else "")
                for head, literal, tail in re.findall(r"""(~\s*)?["']([\w .-]+)["'](\s*~)?""", text)
            }
        own = {p for p in own if len(p.replace(".+", "").replace("\\", "")) > 3}
        found |= own | {f"(?:{'|'.join(map(re.escape, spaces(path)))}){p}" for p in own if spaces(path)}
    literals = re.findall(r"""[`"]([a-z_]+(?:\.[a-z_]+)*\.?)(?=["`$])""", scripted())
    found |= {r"script\." + re.escape(word) + (".+" if word.endswith(".") else "") for word in literals}
    found |= {rf"script\.(?:col|by|score)\.{re.escape(word)}" for word in literals}
    told = " ".join(CATALOGUES["en"].values())
    found |= {re.escape(group) + r"\..+" for group in re.findall(r":@([\w.]+)}", told)}
    return frozenset(found)


def asked() -> Iterator[tuple[Path, str]]:
    """Every literal key that a text is asked for by."""
    for path, text in texts().items():
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                    called = node.func.id if isinstance(node.func, ast.Name) else ""
                    if called in ("say", "w"):
                        yield path, str(node.args[0].value)
        else:
            yield from ((path, key) for key in re.findall(r"""\bw\(["']([\w. -]+)["'][,)]""", text))


def test_every_text_that_a_script_asks_for_exists() -> None:
    found = set(re.findall(r"""\bt\("([\w.]+)\"""", scripted()))
    assert len(found) > 25 and {f"script.{key}" for key in found} <= set(CATALOGUES["en"])


def test_no_two_modules_say_one_key() -> None:
    """One of them would be shown in the other's place."""
    modules = [import_module(f"assay.view._words.{m.name}") for m in pkgutil.iter_modules(_words.__path__)]
    keys = Counter(key for module in modules for key in module.TEXTS)
    assert len(modules) > 10 and [key for key, n in keys.items() if n > 1] == []


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    en, zh = CATALOGUES["en"], CATALOGUES["zh"]
    assert set(en) == set(zh)
    for key in en:
        fields = [
            {(name, form) for _, name, form, _ in string.Formatter().parse(c[key]) if name} for c in (en, zh)
        ]
        assert fields[0] == fields[1], key


def test_every_key_that_is_asked_for_exists() -> None:
    found = {key: path for path, key in asked()}
    assert len(found) > 200
    lost = {k: p for k, p in found.items() if not {s + k for s in ("", *spaces(p))} & set(CATALOGUES["en"])}
    assert lost == {}


def test_every_key_is_used_somewhere() -> None:
    every = re.compile("|".join(sorted(f"(?:{p})" for p in used())))
    names = {f"field.{name}" for text in texts().values() for name in re.findall(r"^    (\w+): ", text, re.M)}
    unused = [key for key in CATALOGUES["en"] if key not in names and not every.fullmatch(key)]
    assert unused == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_thing_has_one_term(language: str) -> None:
    for key, text in CATALOGUES[language].items():
        said = re.sub(r"{[^}]*}", "", text)
        assert said in ALLOWED or [term for term in BANNED[language] if term in said] == [], key


def test_a_value_is_shown_in_its_form_and_a_missing_one_as_a_dash() -> None:
    w = words("en")
    assert w("pool.headline.clean", n=12000, kept=None, share=0.5) == "– of 12,000 rows kept (50 %)"
    assert w.show((-0.1, 0.25), "gain") == "[−0.100, +0.250]" and w.show((None, None), "gain") == "–"
    assert w.show({"math": 1200, "mine": 3}, "@type") == "math 1,200, mine 3"
    assert words("zh").show(("math", "mine"), "@type") == "数学、mine"
    assert w.text(say("pool.change", kind=Say("pool.kind.source"), name="a {b}")) == "source a {b}"


VALUES = st.floats(-0.9, 0.9).map(lambda x: round(x, 3)).filter(bool)


@pytest.mark.parametrize("language", ["en", "zh"])
@given(
    mean=VALUES, below=st.floats(0, 0.3), above=st.floats(0, 0.3), metric=st.sampled_from(["score", "loss"])
)
def test_how_far_a_metric_moves_is_said_in_its_own_direction(
    language: str, mean: float, below: float, above: float, metric: str
) -> None:
    """An oriented gain raises a score and lowers a loss; the interval holds the mean."""
    gain = (mean, mean - below, mean + above)
    text = moved(gain, metric, "overall", words(language))
    rises = {"en": "raise", "zh": "提高"}[language] in text
    assert rises == ((mean > 0) == (metric == "score"))
    size, low, high = (float(x) for x in re.findall(r"-?\d+\.\d+", text.replace("−", "-")))
    assert size == pytest.approx(abs(mean), abs=6e-4) and low - 1e-9 <= size <= high + 1e-9
    change = changed(gain, metric, "overall", words(language)).replace("−", "-")
    own, low, high = (float(x) for x in re.findall(r"[+-]?\d+\.\d+", change))
    assert own == pytest.approx(mean if metric == "score" else -mean, abs=6e-4)
    assert low - 1e-9 <= own <= high + 1e-9


@pytest.mark.parametrize(
    ("key", "parts", "said"),
    [
        ("new.seen", {"samples": 1, "types": 1, "languages": "zh"}, "1 sample to train on, 1 type"),
        ("findings.rows", {"n": 1}, "1 row"),
        ("findings.rows", {"n": 21}, "21 rows"),
        ("findings.rows", {"n": 0}, "0 rows"),
    ],
)
def test_one_is_followed_by_the_singular(key: str, parts: dict[str, Any], said: str) -> None:
    assert words("en")(key, **parts).startswith(said)


def test_no_text_counts_one_in_the_plural() -> None:
    """What is counted stands right behind its number, or behind a word or two that tell more of it."""
    plural = re.compile(r"(?<![\d.,%])1 (?:(?:more|new|random|fresh|sample|evaluation) )?([a-z]+s)\b")
    for key, text in CATALOGUES["en"].items():
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
        with suppress(Exception):  # some are filled with words or intervals, which are no counts
            said = words("en")(key, **dict.fromkeys(names, 1))
            assert [w for w in plural.findall(said) if w not in NO_NOUNS] == [], key


def names_of_columns(tree: ast.Module) -> set[str]:
    """Return what stands in the lists of names that columns are made of: `columns(*names)`, `col.{name}`."""
    lists: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "columns":
            lists |= {
                a.value.id for a in node.args if isinstance(a, ast.Starred) and isinstance(a.value, ast.Name)
            }
        if isinstance(node, ast.GeneratorExp) and "f'col.{name}'" in ast.unparse(node.elt):
            lists |= {g.iter.id for g in node.generators if isinstance(g.iter, ast.Name)}
    values = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id in lists for t in node.targets)
    ]
    inner = {n.id for value in values for n in ast.walk(value) if isinstance(n, ast.Name)}
    values += [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id in inner for t in node.targets)
    ]
    return {
        part.value
        for value in values
        if isinstance(value, ast.Tuple | ast.List | ast.IfExp)
        for part in ast.walk(value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def test_every_column_that_is_named_has_a_heading() -> None:
    found = {
        n for path, text in texts().items() if path.suffix == ".py" for n in names_of_columns(ast.parse(text))
    }
    assert {"answer", "larger", "loss_rise"} <= found
    assert [name for name in sorted(found) if f"col.{name}" not in CATALOGUES["en"]] == []
