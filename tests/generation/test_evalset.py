"""Evaluation sets: what is split off is never in training, choices are stable, sizes follow power."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import data, evalset
from assay.cli import build
from assay.core import TASK_TYPES, AssayError, Sample, to_json
from assay.data import synthetic
from assay.generation import (
    Candidates,
    Noise,
    allocate,
    choose,
    item_row,
    prompt_key,
    sample_by_power,
)
from assay.selection import holding, prompt_of
from assay.view import print_value, said

PASSAGES = (
    "The harbour master keeps a log of every ship that enters the bay between dusk and dawn each winter.",
    "港务长把冬季每晚黄昏到黎明之间驶入海湾的每一艘船都记在一本厚厚的航海日志里面。",
)


def write(path: Path, samples: Iterable[Sample]) -> str:
    lines = (json.dumps(item_row(s), ensure_ascii=False) for s in samples)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(path)


def samples_of(place: str | Path) -> list[Sample]:
    rows = list(data.read(place))
    assert all(isinstance(row, Sample) for row in rows), rows
    return [row for row in rows if isinstance(row, Sample)]


def asked(number: int, type: str = "open_qa", language: str = "en", source: str = "a", **more: Any) -> Sample:
    words = f"Tell me about subject {number}" if language == "en" else f"请介绍第{number}号主题"
    return Sample.single(words, f"answer {number}", type=type, language=language, source=source, **more)


def noted(samples: Iterable[Sample]) -> Candidates:
    candidates = Candidates()
    for _ in candidates.watch(samples):
        pass
    return candidates


def chosen(samples: list[Sample], n: int, **options: Any) -> set[str]:
    return {samples[row].id for row in choose(noted(samples), n, **options).tolist()}


strata = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.sampled_from(["en", "zh"])),
    st.integers(1, 400),
    min_size=1,
)


@given(strata, st.integers(1, 900), st.sampled_from(["equal", "proportional"]), st.floats(0.01, 1))
def test_shares_keep_to_limits_and_use_them(
    sizes: dict[tuple[str, str, str], int], n: int, spread: Any, most: float
) -> None:
    found = allocate(sizes, n, spread=spread, most=most)
    types: Counter[str] = Counter()
    given_: Counter[str] = Counter()
    for stratum, size in sizes.items():
        types[stratum[0]] += size
        given_[stratum[0]] += found[stratum]
        assert 0 <= found[stratum] <= size
    limits = {name: math.floor(most * size + 1e-9) for name, size in types.items()}
    assert sum(found.values()) == min(n, sum(limits.values()))
    assert all(given_[name] <= limit for name, limit in limits.items())
    if spread == "equal":
        free = [given_[name] for name in types if given_[name] < limits[name]]
        assert not free or max(free) - min(free) <= 1
        assert all(given_[name] <= min(free) + 1 for name in types) if free else True


def test_types_are_equal_and_languages_have_their_share() -> None:
    pool = [asked(i, "math", "en") for i in range(300)] + [asked(i, "math", "zh") for i in range(100)]
    pool += [asked(1000 + i, "code", "en") for i in range(400)] + [asked(5000 + i, "cot") for i in range(20)]
    found = choose(noted(pool), 90, most=0.5)
    counts = Counter((pool[row].type, pool[row].language) for row in found.tolist())
    assert counts == {("math", "en"): 30, ("math", "zh"): 10, ("code", "en"): 40, ("cot", "en"): 10}


def test_a_choice_depends_on_what_samples_say() -> None:
    pool = [asked(i, TASK_TYPES[i % 3], ("en", "zh")[i % 2]) for i in range(900)]
    first = chosen(pool, 90, seed=3)
    assert chosen(pool[::-1], 90, seed=3) == first
    assert chosen(pool, 90, seed=4) != first
    more = [asked(10_000 + i, TASK_TYPES[i % 3], ("en", "zh")[i % 2]) for i in range(90)]
    left = chosen(more[:40] + pool + more[40:], 90, seed=3) & first
    # A tenth more rows push out a tenth of the items at most, in expectation 1/11: 8 of 90.
    assert len(left) >= 75


def test_earlier_items_stay_and_count() -> None:
    pool = [asked(i, "math") for i in range(100)] + [asked(1000 + i, "code") for i in range(100)]
    earlier = {prompt_key(s): ("math", "a", "en") for s in pool[:12]}
    found = choose(noted(pool), 40, earlier=earlier)
    assert not {prompt_key(pool[row]) for row in found.tolist()} & set(earlier)
    assert Counter(pool[row].type for row in found.tolist()) == {"math": 8, "code": 20}


def test_one_item_for_each_prompt_and_groups_in_turn() -> None:
    twins = [Sample.single("Same question here?", f"answer {i}", type="math") for i in range(50)]
    assert len(choose(noted(twins), 20, most=1)) == 1
    grouped = [asked(i, group=f"g{i % 5}") for i in range(100)]
    found = choose(noted(grouped), 5)
    assert {grouped[row].group for row in found.tolist()} == {f"g{i}" for i in range(5)}


@pytest.fixture
def pool(tmp_path: Path) -> str:
    rows = [p.sample for p in synthetic.generate(600, seed=4)]
    for language, passage in zip(("en", "zh"), PASSAGES, strict=True):
        rows += [
            Sample.single(f"{passage} {end}", "yes", type="closed_qa", language=language, source="passages")
            for end in ("Why?", "为什么？", "How so?", "Explain.", "请说明。", "Really?")
        ]
    path = tmp_path / "pool.jsonl"
    write(path, rows)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"instruction": "no output"}\n{broken\n')
    return str(path)


def test_no_item_is_in_training(pool: str, tmp_path: Path) -> None:
    out, train = tmp_path / "e.jsonl", tmp_path / "sub" / "t.jsonl"
    found = evalset.split([pool], out=out, train=train, n=60)
    items, rest = samples_of(out), samples_of(train)
    receipts = [json.loads(line) for line in Path(found.receipts).read_text().splitlines()]
    assert len(items) == found.items == 60 and len(rest) == found.training
    assert len(items) + len(rest) + len(receipts) == found.rows == 614
    assert found.removed_by["rejected"] == found.removed_by["unanswered"] == 1
    assert sum(found.removed_by.values()) == len(receipts)
    assert not {s.id for s in items} & {s.id for s in rest}
    assert not {prompt_key(s) for s in items} & {prompt_key(s) for s in rest}
    assert not holding(data.hashed(map(prompt_of, rest)), items, 0.6)
    assert {i.type for i in items} == set(TASK_TYPES) and {i.language for i in items} == {"en", "zh"}
    # A passage that stands in an item is in no training prompt, whatever was asked of it.
    for passage in PASSAGES:
        in_items = any(passage in prompt_of(s) for s in items)
        assert not in_items or not any(passage in prompt_of(s) for s in rest)
    taken = [r for r in receipts if r["rule"] == "evaluation"]
    assert taken and all(r["origin"].startswith("pool.jsonl:") and r["partner"] for r in taken)
    again = evalset.split([pool], out=tmp_path / "f.jsonl", train=tmp_path / "u.jsonl", n=60)
    assert (tmp_path / "f.jsonl").read_bytes() == out.read_bytes()
    assert (tmp_path / "u.jsonl").read_bytes() == train.read_bytes() and again.strata == found.strata
    assert sum(s.items for s in found.strata) == 60 and sum(s.training for s in found.strata) == len(rest)


def test_paraphrases_are_found_by_their_embedding(tmp_path: Path) -> None:
    rows = [asked(i) for i in range(40)]
    rows.append(Sample.single("Explain how a   heat pump warms a house in the winter", "x", type="math"))
    rows.append(Sample.single("explain how a heat pump warms a house in THE winter!", "y", type="math"))
    place = write(tmp_path / "p.jsonl", rows)
    files: dict[str, Any] = {"out": tmp_path / "e.jsonl", "train": tmp_path / "t.jsonl"}
    evalset.split([place], **files, n=2, contained=1, alike=2)
    assert [s.type for s in samples_of(tmp_path / "e.jsonl")].count("math") == 1
    evalset.split([place], **files, n=2, contained=1, alike=0.95)
    assert not any(s.type == "math" for s in samples_of(tmp_path / "t.jsonl"))


def test_earlier_sets_stay_out_of_training(pool: str, tmp_path: Path) -> None:
    first = tmp_path / "first.jsonl"
    evalset.split([pool], out=first, train=tmp_path / "t.jsonl", n=24)
    later = tmp_path / "later.jsonl"
    with Path(pool).open("a", encoding="utf-8") as file:
        for sample in (asked(i, "math", "zh") for i in range(50)):
            file.write(json.dumps(item_row(sample), ensure_ascii=False) + "\n")
    found = evalset.split([pool], out=later, train=tmp_path / "t.jsonl", n=36, keep=[str(first)])
    assert found.earlier == 24 and found.items == 36
    assert {s.id for s in samples_of(first)} <= {s.id for s in samples_of(later)}
    kept = {prompt_key(s) for s in samples_of(later)}
    assert not kept & {prompt_key(s) for s in samples_of(tmp_path / "t.jsonl")}
    first.write_text("{broken\n")
    with pytest.raises(AssayError, match="earlier evaluation set"):
        evalset.split([pool], out=later, train=tmp_path / "t.jsonl", n=36, keep=[str(first)])


def test_too_small_a_pool_is_said_and_losses_are_named(tmp_path: Path) -> None:
    rows = [Sample.single(f"{PASSAGES[0]} Question {i}?", "x", type="closed_qa") for i in range(60)]
    rows += [asked(i, "math") for i in range(60)]
    found = evalset.split(
        [write(tmp_path / "p.jsonl", rows)], out=tmp_path / "e.jsonl", train=tmp_path / "t.jsonl", n=100
    )
    assert found.items == 60 and found.short == 40
    assert any("type closed QA lost 30 training samples (100 %)" in said(text) for text in found.alarms)


@pytest.mark.parametrize(
    "options",
    [{"n": 0}, {"most": 0.0}, {"contained": 1.5}, {"alike": 0.0}, {"train": "e.jsonl"}],
)
def test_bad_options_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    place = write(tmp_path / "p.jsonl", [asked(i) for i in range(10)])
    usual: dict[str, Any] = {"n": 2, "train": "t.jsonl"} | options
    train = tmp_path / usual.pop("train")
    with pytest.raises(AssayError):
        evalset.split([place], out=tmp_path / "e.jsonl", train=train, **usual)
    assert not (tmp_path / "e.jsonl").exists()


# methods: paired sd, n for 0.02, the same by Holm over 12 types, what 37, 100 and 285 items show.
@pytest.mark.parametrize(
    ("sd", "n", "holm", "shows"),
    [
        (0.18, 636, 1114, (0.083, 0.050, 0.030)),
        (0.25, 1227, 2148, (0.115, 0.070, 0.041)),
        (0.45, 3974, 6957, (0.207, 0.126, 0.075)),
    ],
)
def test_sizes_follow_the_published_table(sd: float, n: int, holm: int, shows: tuple[float, ...]) -> None:
    noise = Noise({}, sd)
    assert noise.wanted(0.02, "math") == pytest.approx(n, abs=1)
    assert noise.wanted(0.02, "math", comparisons=12) == pytest.approx(holm, abs=1)
    assert [noise.shown(k, "math") for k in (37, 100, 285)] == pytest.approx(shows, abs=6e-4)
    assert noise.shown(0, "math") is None


def test_repeats_help_as_the_judge_is_noisy() -> None:
    def saved(judge_sd: float) -> float:
        once, thrice = (Noise({}, 0.18, judge_sd, k).wanted(0.02, "x") for k in (1, 3))
        return 1 - thrice / once

    assert saved(0.05) == pytest.approx(0.09, abs=0.006) and saved(0.15) == pytest.approx(0.39, abs=0.006)


def test_wanted_items_see_the_effect_in_simulation() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    n = Noise().wanted(0.03, "rewrite")
    found = rng.normal(0.03, 0.18, (4000, n))
    z = found.mean(axis=1) / (found.std(axis=1, ddof=1) / math.sqrt(n))
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.02)


def test_a_small_type_says_what_it_can_show(tmp_path: Path) -> None:
    rows = [asked(i, "open_qa", ("en", "zh")[i % 2]) for i in range(500)]
    rows += [asked(1000 + i, "translation") for i in range(50)] + [Sample.single("typeless", None)]
    rows.append(Sample.single("tell me ABOUT subject 2", "other", type="open_qa"))
    place = write(tmp_path / "p.jsonl", rows)
    out = tmp_path / "e.jsonl"
    found = evalset.sample([place], out=out, wanted=0.03)
    by_type = {t.type: t for t in found.types}
    assert by_type["open_qa"].taken == by_type["open_qa"].wanted == 283
    small = by_type["translation"]
    assert small.taken == 50 and small.detectable == pytest.approx(0.0713, abs=1e-4)
    assert found.untyped == 1 and found.repeated == 1 and found.items == 333
    assert any(said(n).startswith("translation: 50 of 283 items, which detect 0.071") for n in found.notes)
    taken = samples_of(out)
    assert Counter(s.language for s in taken if s.type == "open_qa") == {"en": 142, "zh": 141}
    assert "you need 283 items per type" in said(found.headline)


def test_holm_caps_and_sds_change_sizes(tmp_path: Path) -> None:
    rows = [asked(i, "math") for i in range(3000)] + [asked(9000 + i, "rewrite") for i in range(3000)]
    place, out = write(tmp_path / "p.jsonl", rows), tmp_path / "e.jsonl"

    def sizes(**options: Any) -> dict[str, int]:
        return {t.type: t.taken for t in evalset.sample([place], out=out, **options).types}

    assert sizes() == {"math": 1766, "rewrite": 283}
    assert sizes(sd=["0.2", "math=0.3"]) == {"math": 785, "rewrite": 349}
    assert sizes(holm=True)["rewrite"] > 283
    assert sizes(most=100) == {"math": 100, "rewrite": 100}
    for bad in ({"sd": ["x"]}, {"sd": ["math=2"]}, {"wanted": 0.0}, {"power": 1.0}, {"repeats": 0}):
        with pytest.raises(AssayError):
            sizes(**bad)
    write(tmp_path / "p.jsonl", [Sample.single("no type at all", "x")])
    with pytest.raises(AssayError, match="no item has a type"):
        sizes()


def test_samples_of_one_wording_say_so() -> None:
    rows = [asked(i, group=f"g{i % 4}") for i in range(40)]
    _, (size,) = sample_by_power(noted(rows), 0.03, Noise())
    assert (size.taken, size.clusters) == (40, 4)


def test_the_public_belle_set_is_sampled(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"
    found = evalset.sample([str(shared / "data/belle/eval_set.jsonl")], out=out, wanted=0.02)
    sizes = {t.type: t for t in found.types}
    assert len(sizes) == 10 and found.items + found.repeated == 1000
    # The methods' reading: it cannot resolve 0.02 in any type.
    assert all(t.taken < t.wanted for t in sizes.values())
    assert sizes["extraction"].detectable == pytest.approx(0.083, abs=0.002)
    assert Counter(s.type for s in samples_of(out)) == {name: t.taken for name, t in sizes.items()}


def test_the_functions_are_commands(pool: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    def app(words: list[str]) -> Any:
        return build(" ".join(words[:2]))(words)

    out = str(tmp_path / "e.jsonl")
    split = app(["evalset", "split", pool, "--out", out, "--train", str(tmp_path / "t.jsonl"), "--n", "48"])
    sampled = app(
        ["evalset", "sample", out, "--out", str(tmp_path / "s.jsonl"), "--wanted", "0.03", "--most", "3"]
    )
    for result, words in ((split, "48 evaluation items"), (sampled, "assay annotate")):
        assert json.loads(json.dumps(to_json(result)))
        print_value(result, Console(width=140))
        assert words in capsys.readouterr().out


def test_an_item_keeps_its_tools_and_weights(tmp_path: Path) -> None:
    called = {"id": "c", "type": "function", "function": {"name": "w", "arguments": {}}}
    messages = [
        {"role": "user", "content": "warm?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [called], "weight": 0},
        {"role": "tool", "content": "19", "tool_call_id": "c", "name": "w"},
        {"role": "assistant", "content": "19."},
    ]
    row = {"messages": messages, "tools": [{"type": "function", "function": {"name": "w"}}], "type": "math"}
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    (before,) = samples_of(tmp_path / "in.jsonl")
    (after,) = samples_of(write(tmp_path / "out.jsonl", [before]))
    assert after.messages == before.messages and after.tools is not None and after.id == before.id
