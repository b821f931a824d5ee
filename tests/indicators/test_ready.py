"""Finding indicators, rules, the cache, neighbours, and indicators of the whole pool."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars
import pytest

from assay.core import AssayError, Sample
from assay.indicators import (
    INDICATORS,
    RULES,
    Cache,
    Models,
    Tools,
    Undefined,
    applied_notes,
    neighbours,
    notes_of,
    read_rule,
    ready,
    said_of,
    score,
    used_by,
)
from assay.model import embedder, resolve_base

POOL = [
    Sample.single(
        f"Name the capital of country {i} in a full sentence", f"The capital of country {i} is city {i * 3}."
    )
    for i in range(30)
] + [Sample.single("写一首关于春天的诗", "春眠不觉晓，处处闻啼鸟。"), Sample.single("No answer here", None)]


def test_every_indicator_says_what_it_is() -> None:
    for name, indicator in INDICATORS.items():
        assert indicator.name == name and indicator.source and indicator.unit
        assert (indicator.measure is None) == bool(indicator.needs)


def test_published_rules_reproduce_their_formulas() -> None:
    v1, v2 = RULES["instructmining-v1"], RULES["instructmining-v2"]
    assert v1({"reward": 2.0, "tokens_out": 300.0, "knn": 0.8}) == pytest.approx(
        1.0684 - 0.1498 * 2 + 8.257e-5 * 300 - 0.9350 * 0.8, abs=1e-12
    )
    values = {"reward": 1.5, "understandability": 0.9, "naturalness": 0.7, "coherence": 0.95}
    assert v2(values) == pytest.approx(
        0.0274 - 0.0078 * 1.5 + 0.4421 * 0.9 - 0.3212 * 0.7 - 0.1520 * 0.95, abs=1e-12
    )
    assert v1.direction == v2.direction == -1


@pytest.mark.parametrize("name", RULES)
def test_a_rule_without_its_models_refuses_and_names_them(name: str) -> None:
    with pytest.raises(AssayError, match=f"{name} cannot be applied") as caught:
        ready([name], Models(embedder="lexical"), POOL)
    assert RULES[name].models["reward"].name in str(caught.value)


def rule_of(path: Path, coefficients: dict[str, float], **more: object) -> Path:
    fields = {"name": "mine", "predicts": "x", "direction": 1, "intercept": 0.0, "source": "test"}
    path.write_text(json.dumps({**fields, "coefficients": coefficients, **more}))
    return path


def test_other_models_than_a_rules_own_are_refused_unless_one_insists(tmp_path: Path) -> None:
    own = {setting: asdict(one) for setting, one in used_by(["ppl", "tokens_out"]).items()}
    assert set(own) == {"base", "template", "tokenizer"} and all(one["digest"] for one in own.values())
    path = str(rule_of(tmp_path / "mine.json", {"ppl": 1.0, "tokens_out": 0.5}, models=own))
    (applied,) = ready([path])
    assert applied.notes() == () == said_of(path)
    with pytest.raises(AssayError, match=r"(?s)template.*plain.*other-models"):
        ready([path], Models(template="plain"))
    (forced,) = ready([path], Models(template="plain", other_models=True))
    assert len(forced.notes()) == 1 and "applied with template plain" in str(forced.notes()[0])
    own["base"]["digest"] = "0" * 64
    rule_of(tmp_path / "mine.json", {"ppl": 1.0}, models=own)
    with pytest.raises(AssayError, match="fitted with other models"):
        said_of(path)


def test_lengths_in_tokens_ask_for_the_same_tokenizer_and_not_for_the_same_weights(tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(resolve_base("pocket"), base)
    own = {setting: asdict(one) for setting, one in used_by(["tokens_out"]).items()}
    assert set(own) == {"tokenizer"}
    path = str(rule_of(tmp_path / "mine.json", {"tokens_out": 1.0}, models=own))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "extra": 1}))
    assert said_of(path, Models(base=str(base))) == ()
    vocabulary = (base / "tokenizer.json").read_text()
    (base / "tokenizer.json").write_text(vocabulary + " ")
    with pytest.raises(AssayError, match="tokenizer"):
        said_of(path, Models(base=str(base)))


def test_samples_outside_the_fit_are_counted_and_stay_with_the_table(tmp_path: Path) -> None:
    short = [Sample.single("q", "one two three"), Sample.single("q", "one " * 30), Sample.single("q", "a b")]
    ranges = {"len_out": {"samples": [3, 20], "subsets": [5, 6]}}
    warned = ["the length of the answer alone explains as much"]
    check = {"kind": "verdict.equal", "verdict": "Random is as good", "comparisons": []}
    path = rule_of(tmp_path / "mine.json", {"len_out": 1.0}, ranges=ranges, warnings=warned, check=check)
    found = score(short, tmp_path / "a.parquet", [str(path)])
    notes = found.indicators[0].notes
    said = list(map(str, notes))
    assert said[:2] == [f"Rule mine: {warned[0]}", "Rule mine: in its check, Random is as good"]
    assert "2 of 3 samples lie outside" in said[2] and "Length of the answer 2" in said[2] and len(said) == 3
    assert notes_of(tmp_path / "a.parquet", "mine") == notes
    assert list(map(str, applied_notes(tmp_path / "a.parquet"))) == said[2:], (
        "caveats are the rule's of today"
    )
    passed = {**check, "kind": "verdict.beats", "verdict": "It beats random by +0.1"}
    rule_of(path, {"len_out": 1.0}, check=passed)
    assert said_of(str(path)) == ()


def test_a_square_stands_beside_its_line_and_ends_at_its_reach(tmp_path: Path) -> None:
    square = {"weight": 2.0, "centre": 4.0, "spread": 2.0, "reach": 3.0}
    path = rule_of(tmp_path / "mine.json", {"len_out": 0.5}, squares={"len_out": square})
    rule = read_rule(path)
    assert [rule({"len_out": n}) for n in (4, 2, 10, 40)] == [2.0, 1.0 + 2, 5.0 + 18, 20.0 + 18]
    assert rule.revision != read_rule(rule_of(tmp_path / "line.json", {"len_out": 0.5})).revision
    rule_of(path, {"len_in": 0.5}, squares={"len_out": square})
    with pytest.raises(AssayError, match="not a rule"):
        read_rule(path)


def test_a_rule_from_a_file_adds_up_its_indicators(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    rule = {
        "name": "mine", "predicts": "rating", "direction": 1, "intercept": 1.0, "source": "test",
        "coefficients": {"len_out": 0.5, "mtld": 0.1}, "runs": 32,
    }  # fmt: skip
    path.write_text(json.dumps(rule))
    length, mtld, both = ready(["len_out", "mtld", str(path)])
    assert length.measure and mtld.measure and both.measure
    for a, b, value in zip(length.measure(POOL), mtld.measure(POOL), both.measure(POOL), strict=True):
        if isinstance(a, Undefined) or isinstance(b, Undefined):
            assert isinstance(value, Undefined) and "mtld" in value.reason
        else:
            assert value == pytest.approx(1 + 0.5 * a + 0.1 * b)
    assert read_rule(path).direction == 1
    for change in ({"direction": 2}, {"coefficients": {"len_out": "much"}}, {"coefficients": 3}):
        path.write_text(json.dumps(rule | change))
        with pytest.raises(AssayError):
            read_rule(path)
    path.write_text(json.dumps(rule | {"coefficients": {"nothing": 1.0}}))
    with pytest.raises(AssayError, match="unknown indicator"):
        ready([str(path)])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("reward", "--reward"),
        ("coherence", "--dialog"),
        ("loss_gap", "--second"),
        ("rds", "--target"),
        ("knn_reference", "--reference"),
    ],
)
def test_what_is_missing_is_named(name: str, part: str) -> None:
    with pytest.raises(AssayError) as caught:
        ready([name], Models(embedder="lexical"), POOL)
    assert part in str(caught.value)


def test_values_are_cached_and_not_measured_again(tmp_path: Path) -> None:
    models = Models(cache=tmp_path)
    score(POOL, tmp_path / "a.parquet", ["ppl"], models=models)
    (file,) = tmp_path.glob("ppl-v2-*.sqlite")
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM entry").fetchone() == (len(POOL),)
        connection.execute("UPDATE entry SET value = 7.0 WHERE key = ?", (POOL[3].id,))
    score(POOL, tmp_path / "b.parquet", ["ppl"], models=models)
    first, second = (polars.read_parquet(tmp_path / f"{n}.parquet") for n in "ab")
    assert second["ppl"][3] == 7.0
    assert first["ppl"].to_list()[:3] == second["ppl"].to_list()[:3]
    assert second["ppl"][31] is None and "no answer" in second["why"][31]


def test_progress_rises_within_a_batch_to_its_end(tmp_path: Path) -> None:
    many = [Sample.single(f"Count to {n}", " ".join(map(str, range(n % 7 + 2)))) for n in range(600)]
    told: list[int] = []
    score(many, tmp_path / "a.parquet", ["ppl", "len_out", "ifd"], watch=told.append)
    assert told == sorted(told) and told[-1] == 600
    assert {128, 256, 300} <= set(told), "pieces of 256 of one of two models count half"
    again: list[int] = []
    score(many, tmp_path / "b.parquet", ["len_out"], watch=again.append)
    assert again == [600]


def test_a_kill_loses_one_piece(tmp_path: Path) -> None:
    models = Models(cache=tmp_path)
    many = [Sample.single(f"Count to {n}", " ".join(map(str, range(n % 7 + 2)))) for n in range(600)]

    def stop(done: int) -> None:
        if done >= 512:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(many, tmp_path / "a.parquet", ["ppl"], models=models, watch=stop)
    (file,) = tmp_path.glob("ppl-v2-*.sqlite")
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM entry").fetchone() == (512,)


def test_a_cache_keeps_numbers_texts_and_bytes(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "x")
    cache.put({"a": 1.5, "b": "why", "c": b"\x00\xff"})
    keys = [f"k{i}" for i in range(1200)]
    cache.put(dict.fromkeys(keys, 2.0))
    assert cache.get(["a", "b", "c", "d"]) == {"a": 1.5, "b": "why", "c": b"\x00\xff"}
    assert len(Cache(tmp_path, "x").get(keys)) == 1200


def test_neighbours_equal_all_distances() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[7] = vectors[3]
    distances, rows = neighbours(vectors, 6)
    every = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(every, np.inf)
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :6], atol=1e-3)
    assert rows[7, 0] == 3 and distances[7, 0] == pytest.approx(0, abs=1e-3)
    reference, _ = neighbours(vectors[:5], 2, vectors[100:110])
    wanted = np.sort(np.linalg.norm(vectors[:5, None] - vectors[None, 100:110], axis=2), axis=1)[:, :2]
    np.testing.assert_allclose(reference, wanted, atol=1e-5)
    few, none = neighbours(vectors[:3], 6)
    assert np.isinf(few[:, 2:]).all() and (none[:, 2:] == -1).all() and np.isfinite(few[:, :2]).all()


def column(name: str, pool: Sequence[Sample], models: Models) -> list[float | Undefined]:
    (indicator,) = ready([name], models, pool)
    assert indicator.measure is not None
    return indicator.measure(pool)


def test_knn_is_the_distance_to_the_sixth_neighbour() -> None:
    values = column("knn", POOL, Models(embedder="lexical"))
    vectors = Tools(Models(embedder="lexical")).embed("\n".join(m.content for m in s.messages) for s in POOL)
    every = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(every, np.inf)
    np.testing.assert_allclose(values, np.sort(every, axis=1)[:, 5], atol=2e-3)
    assert float(values[30]) > 1.2 > float(values[0])  # type: ignore[arg-type]  # the only one of its kind
    assert column("knn", POOL[:4], Models(embedder="lexical"))[0] == Undefined("fewer than 6 other samples")
    near = column("knn_reference", POOL, Models(embedder="lexical", reference=tuple(POOL[:8]), neighbour=1))
    assert near[2] == pytest.approx(0, abs=0.05) and float(near[30]) > 1  # type: ignore[arg-type]


def test_novelty_counts_runs_that_no_other_sample_has() -> None:
    pool = [
        Sample.single("a", "one two three four"),
        Sample.single("b", "one two three five"),
        Sample.single("c", "春天来了花开"),
        Sample.single("d", "春天来了雪融"),
        Sample.single("e", "nothing like it anywhere"),
    ]
    values = column("novelty", [*pool, pool[4]], Models())
    assert values[:5] == [pytest.approx(v) for v in (1 / 2, 1 / 2, 1 / 2, 1 / 2, 1.0)]


def test_tags_are_words_that_some_prompts_share() -> None:
    pool = [
        Sample.single(f"{w} number {i}", "x")
        for i, w in enumerate(["recipe", "recipe", "诗歌", "诗歌", "lone"])
    ]
    values = column("tags", pool, Models())
    assert values == [1.0, 1.0, 1.0, 1.0, 0.0]  # "number" is everywhere, "lone" is alone


def test_a_bare_stream_cannot_serve_an_indicator_of_the_pool() -> None:
    with pytest.raises(AssayError, match="only once"):
        ready(["tags"], Models(), iter(POOL))


def test_the_lexical_embedder_sees_likeness_in_any_script() -> None:
    encode = embedder("lexical").encode
    texts = ["写一首关于春天的诗", "写一首关于秋天的诗", "今天股市大跌", "Write a poem about spring", ""]
    vectors = encode(texts)
    assert vectors.shape == (5, 512) and not vectors[4].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[:4], axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > abs(vectors[0] @ vectors[2])
    np.testing.assert_array_equal(vectors[2], encode(texts[2:3])[0])


def test_minilm_and_model2vec_embed_by_meaning(shared: Path) -> None:
    texts = [
        "How do I bake bread at home?",
        "What is a recipe for a loaf of bread?",
        "The stock market fell today.",
    ]
    for name in ("minilm", str(shared / "models" / "potion-base-4m-int8")):
        found = embedder(name)
        vectors = found.encode(texts)
        assert vectors.shape == (3, found.dim)
        assert vectors[0] @ vectors[1] > 0.4 > abs(vectors[0] @ vectors[2])


@pytest.mark.parametrize("name", ["nothing-like-it", "./nowhere"])
def test_an_unknown_embedder_is_named(name: str) -> None:
    with pytest.raises(AssayError, match="no such embedding model"):
        embedder(name)
