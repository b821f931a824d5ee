"""Types of use: told by the shipped classifier, by one trained on labels, by a chat model over HTTP."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import ChatConfig, data, evalset
from assay.cli import build
from assay.core import TASK_TYPES, AssayError, Sample, to_json
from assay.data import synthetic
from assay.generation import (
    LEVELS,
    TypeClassifier,
    TypedText,
    item_row,
    load_classifier,
    measure_types,
    prompt_key,
    read_type,
    shipped,
    train_on_labels,
)
from assay.generation._classify import SHIPPED
from assay.generation._type_features import FEATURES, by_rules, features, tokens_of
from assay.generation._type_texts import seed_texts, wordings
from assay.selection import prompt_of
from assay.view import print_value, said

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "llm"))
MODEL = "openai-api/scripted/typist"

# Written for this test; none is among the texts that the classifier learnt from.
CLEAR = {
    "math": ("What is 418 minus 59?", "小刚有35元，花了12元，还剩多少元？"),
    "code": (
        "Write a Python function that returns the second largest number.",
        "用Java写一个函数，统计单词个数。",
    ),
    "translation": ("Translate into French: The cat is asleep.", "把下面的句子翻译成英文：我们明天去爬山。"),
    "summarization": (
        "Summarise this article in one sentence: The town council met on Tuesday. It voted to plant trees.",
        "请用一句话概括下面的内容：镇政府周二开会，决定在主街种树，预算已经通过。",
    ),
    "generation": ("Write a poem about an old clock.", "写一首关于老钟的诗。"),
    "open_qa": ("Who invented the barometer?", "谁发明了气压计？"),
}


def write(path: Path, samples: list[Sample]) -> str:
    lines = (json.dumps(item_row(s), ensure_ascii=False) for s in samples)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(path)


def items() -> list[Sample]:
    return [
        Sample.single(text, None, language=language)
        for texts in CLEAR.values()
        for language, text in zip(("en", "zh"), texts, strict=True)
    ]


def truth() -> list[str]:
    return [name for name, texts in CLEAR.items() for _ in texts]


@given(st.text(max_size=300))
def test_any_text_has_features(text: str) -> None:
    found = features([text, text + "。"])
    assert found.shape == (2, FEATURES) and np.isfinite(found.data).all()
    assert (features([text])[0] != found[0]).nnz == 0
    assert by_rules(text) in TASK_TYPES
    assert sum(map(len, tokens_of(text))) <= 3 * len(text.casefold()) * 6 + 1


def test_texts_to_learn_from_are_typed_whole_and_the_same_in_every_run() -> None:
    for language in ("en", "zh"):
        found = list(wordings(language, 3))
        assert found == list(wordings(language, 3))
        assert {t.type for t in found} == set(TASK_TYPES)
        assert not [t.text for t in found if "{" in t.text and "}" in t.text and t.type != "code"]
        assert min(Counter(t.type for t in found).values()) >= 30
    assert {t.type for t in seed_texts()} == set(TASK_TYPES)


def test_the_shipped_classifier_is_small_and_says_what_it_is() -> None:
    model = shipped()
    assert SHIPPED.stat().st_size < 1_000_000 and SHIPPED.with_suffix(".json").stat().st_size < 20_000
    assert set(model.types) == set(TASK_TYPES) and model.languages == ("en", "zh")
    assert "written for this project" in model.trained_on
    quality = model.quality
    assert quality.items == len(list(seed_texts()))
    assert quality.accuracy > quality.rules + 0.1 > quality.majority + 0.1
    assert quality.low < quality.accuracy < quality.high
    assert quality.calibration_error is not None and quality.calibration_error < 0.1
    assert [level.sure for level in quality.levels] == list(LEVELS)


def test_clear_prompts_are_typed_in_both_languages() -> None:
    said = [t.type for t in shipped().classify([prompt_of(s) for s in items()])]
    assert sum(a == b for a, b in zip(said, truth(), strict=True)) >= len(said) - 1
    likely = shipped().probabilities(["", "一二三", "x" * 5000])
    assert likely.sum(axis=1) == pytest.approx(1) and likely.shape == (3, 12)


def labelled(count: int = 400) -> list[Sample]:
    """Return testbed samples with types of a user's own."""
    names = {"math": "sums", "translation": "other_tongue", "code": "code"}
    planted = synthetic.generate(count, seed=7, types=list(names))
    return [
        Sample.single(
            p.sample.prompt[-1].content, p.sample.answer, type=names[p.sample.type or ""],
            language=p.sample.language,
        )
        for p in planted
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained() -> TypeClassifier:
    texts = [TypedText(prompt_of(s), s.type or "", prompt_key(s)) for s in labelled()]
    return train_on_labels(texts, languages=("en", "zh"), name="labels")


def test_labels_of_any_types_are_learnt(trained: TypeClassifier) -> None:
    assert trained.types == ("code", "other_tongue", "sums")
    assert trained.quality.accuracy > 0.97 and trained.quality.items > 300
    fresh = [p.sample for p in synthetic.generate(60, seed=8, types=["math"], split="eval")]
    assert {t.type for t in trained.classify([prompt_of(s) for s in fresh])} == {"sums"}


def test_the_order_of_labels_changes_nothing(trained: TypeClassifier) -> None:
    texts = [TypedText(prompt_of(s), s.type or "", prompt_key(s)) for s in labelled()]
    again = train_on_labels(texts[::-1], languages=("en", "zh"), name="labels")
    assert np.array_equal(again.weights, trained.weights) and again.quality == trained.quality


def test_what_cannot_be_learnt_is_not_claimed() -> None:
    rng = np.random.default_rng(0)
    texts = [
        TypedText(f"sentence {i} of some kind {rng.integers(1e6)}", "ab"[rng.integers(2)], str(i))
        for i in range(300)
    ]
    quality = train_on_labels(texts, languages=("en",), name="noise").quality
    assert abs(quality.accuracy - 0.5) < 0.1
    assert quality.calibration_error is not None and quality.calibration_error < 0.12
    assert next(level for level in quality.levels if level.sure == 0.95).threshold is None


def test_too_few_labels_are_refused() -> None:
    texts = [TypedText(f"text {i}", "a", str(i)) for i in range(50)] + [TypedText("text", "b", "b")]
    with pytest.raises(AssayError, match="too few labels"):
        train_on_labels(texts, languages=("en",), name="labels")


def test_a_classifier_comes_back_from_its_files(trained: TypeClassifier, tmp_path: Path) -> None:
    path = tmp_path / "own" / "types.safetensors"
    trained.save(path)
    again = load_classifier(path)
    texts = [prompt_of(s) for s in labelled(50)]
    assert again.classify(texts) == trained.classify(texts)
    assert (again.quality, again.types, again.trained_on) == (
        trained.quality,
        trained.types,
        trained.trained_on,
    )
    path.write_bytes(path.read_bytes()[:-2] + b"ab")
    with pytest.raises(AssayError, match="do not match"):
        load_classifier(path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(AssayError, match="cannot be read"):
        load_classifier(path)
    with pytest.raises(AssayError, match="cannot be read"):
        load_classifier(tmp_path / "nowhere.safetensors")


def test_figures_agree_with_those_of_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

    rng = np.random.default_rng(1)
    names = np.array(["math", "code", "cot", "rewrite"])
    real, said = names[rng.integers(4, size=300)], names[rng.integers(4, size=300)]
    said[:150] = real[:150]
    found = measure_types(real.tolist(), said.tolist(), ["x"] * 300, how="here")
    assert found.accuracy == pytest.approx(accuracy_score(real, said))
    assert found.macro_f1 == pytest.approx(f1_score(real, said, average="macro"))
    order = [s.type for s in found.per_type]
    precision, recall, _, counts = precision_recall_fscore_support(real, said, labels=order)
    assert [s.precision for s in found.per_type] == pytest.approx(precision)
    assert [s.recall for s in found.per_type] == pytest.approx(recall)
    assert [s.items for s in found.per_type] == counts.tolist()
    assert found.calibration_error is None and found.levels == ()


def test_abstaining_keeps_what_it_promises_on_the_measured_prompts() -> None:
    rng = np.random.default_rng(2)
    sure = rng.uniform(0.3, 1, 2000)
    right = rng.uniform(size=2000) < sure
    said = np.where(right, "math", "code").tolist()
    found = measure_types(["math"] * 2000, said, ["x"] * 2000, how="here", confidence=sure)
    assert found.calibration_error is not None and found.calibration_error < 0.04
    for level in found.levels:
        assert level.threshold is not None and level.accuracy is not None
        typed = sure >= level.threshold
        assert right[typed].mean() == pytest.approx(level.accuracy) and level.accuracy >= level.sure
        assert typed.mean() == pytest.approx(level.share)
    shares = [level.share for level in found.levels]
    assert shares == sorted(shares, reverse=True) and shares[0] == 1 and 0.1 < shares[3] < 0.5


def test_a_file_is_typed_and_read_back(tmp_path: Path) -> None:
    rows = [*items(), Sample.single("Ein Satz auf Deutsch, der nicht gelernt ist.", "x", language="de")]
    rows += [
        Sample.single("Compute 12 + 30.", "42", type="math"),
        Sample.single("9 x 9?", "81", type="rewrite"),
    ]
    place, out = write(tmp_path / "i.jsonl", rows), tmp_path / "t.jsonl"
    with Path(place).open("a", encoding="utf-8") as file:
        file.write("{broken\n")
    found = evalset.classify([place], out=out, sure=0.8)
    back = list(data.read(out))
    assert len(back) == len(rows) and [s.id for s in back if isinstance(s, Sample)] == [s.id for s in rows]
    typed, unsure = sum(found.typed.values()), {u.reason: u.items for u in found.untyped}
    assert (found.rows, found.rejected, found.before) == (16, 1, 2)
    assert typed + sum(unsure.values()) == 13 and unsure["the classifier has not learnt de"] == 1
    assert typed >= 6 and [s.type for s in back if isinstance(s, Sample)][-2:] == ["math", "rewrite"]
    told = [json.loads(line).get("typing") for line in out.read_text(encoding="utf-8").splitlines()]
    assert told[0]["by"] == "the classifier of the package" and told[-1] is None
    assert told[12]["reason"].endswith("not learnt de")
    assert found.checked is not None and found.checked.items <= 2
    everything = evalset.classify([place], out=out, sure=0.0, again=True, check=0)
    assert sum(everything.typed.values()) == 14 and everything.checked is None
    with pytest.raises(AssayError, match="no threshold"):
        evalset.classify([place], out=out, sure=0.33)


def test_a_file_is_typed_by_labels_and_again_by_what_was_kept(tmp_path: Path) -> None:
    known, fresh = labelled(300), [p.sample for p in synthetic.generate(40, seed=9, types=["math", "code"])]
    labels = write(tmp_path / "l.jsonl", known)
    bare = [Sample.single(prompt_of(s), s.answer, language=s.language) for s in fresh]
    place = write(tmp_path / "i.jsonl", [*bare, *known[:30]])
    out = tmp_path / "t.jsonl"
    found = evalset.classify([place], out=out, labels=[labels], sure=0.9)
    assert set(found.typed) <= {"sums", "code"} and sum(found.typed.values()) >= 38
    # What was learnt from is no check.
    assert found.checked is None and found.stated is not None and found.stated.items > 200
    assert found.saved == str(tmp_path / "t.classifier.safetensors")
    again = evalset.classify([place], out=tmp_path / "u.jsonl", classifier=Path(found.saved))
    assert again.typed == found.typed and again.checked is not None and again.checked.accuracy == 1
    with pytest.raises(AssayError, match="more than one way"):
        evalset.classify([place], out=out, labels=[labels], classifier=Path(found.saved))


@pytest.mark.parametrize(
    ("reply", "type"),
    [
        ("math", "math"),
        ("`open_qa`", "open_qa"),
        ("Open QA.", "open_qa"),
        ("**Closed-QA**", "closed_qa"),
        ("类型：翻译", "translation"),
        ("封闭式问答", "closed_qa"),
        ("The task is of the type summarisation.", "summarization"),
        ("ｍａｔｈ", "math"),
        ("open_qa, not closed_qa", None),
        ("math or code", None),
        ("", None),
        ("I cannot say.", None),
        ("aftermath", None),
        ("rewrite " * 60, None),
    ],
)
def test_replies_are_read_or_refused(reply: str, type: str | None) -> None:
    assert read_type(reply) == type


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from chat_server import serving

    monkeypatch.setenv("SCRIPTED_API_KEY", "sk-test")
    with serving(script="typing_script:answer", script_path=str(HERE)) as running:
        yield running


def test_a_chat_model_names_types(server: Any, tmp_path: Path) -> None:
    kinds = ["math", "closed_qa", "rewrite", "summarization"]
    rows = [
        Sample.single(
            f"{('task', '任务')[i % 2]} {i} of kind {kinds[i % 4]}", None, language=("en", "zh")[i % 2]
        )
        for i in range(40)
    ]
    rows += [
        Sample.single("a hiccup of kind cot", "x", type="cot"),
        Sample.single("a chatty one of kind closed_qa", "x", type="closed_qa"),
        Sample.single("a stubborn one of kind code", "x"),
        Sample.single("of kind math", "x", type="code"),
    ]
    place, out = write(tmp_path / "i.jsonl", rows), tmp_path / "t.jsonl"
    chat = ChatConfig(MODEL, base_url=server.url, calls=tmp_path / "calls")
    found = evalset.classify([place], out=out, chat=chat)
    assert found.typed == dict.fromkeys(kinds, 10)
    assert [(u.reason, u.items) for u in found.untyped] == [("no reply names one type", 1)]
    assert found.checked is not None and found.checked.accuracy == pytest.approx(2 / 3)
    assert found.calls >= 44 and found.tokens > 0 and found.checked.calibration_error is None
    back = [s for s in data.read(out) if isinstance(s, Sample)]
    assert [s.type for s in back[:40]] == [kinds[i % 4] for i in range(40)] and back[-2].type is None
    asked = len(server.log())
    again = evalset.classify([place], out=tmp_path / "u.jsonl", chat=chat)
    assert (tmp_path / "u.jsonl").read_bytes() == out.read_bytes() and again.calls == 0
    assert len(server.log()) == asked


def test_the_budget_ends_it_and_the_rest_is_counted(server: Any, tmp_path: Path) -> None:
    rows = [Sample.single(f"task {i} of kind math", None, language="en") for i in range(60)]
    place = write(tmp_path / "i.jsonl", rows)
    chat = ChatConfig(MODEL, base_url=server.url, calls=tmp_path / "calls", budget="20k tokens")
    found = evalset.classify([place], out=tmp_path / "t.jsonl", chat=chat)
    ended = {u.reason: u.items for u in found.untyped}
    assert 0 < found.typed["math"] < 60 and ended == {"the budget ended": 60 - found.typed["math"]}
    assert found.tokens <= 20_000
    assert len(list(data.read(tmp_path / "t.jsonl"))) == 60


def test_the_function_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    place = write(tmp_path / "i.jsonl", [*items(), Sample.single("Compute 12 + 30.", "42", type="math")])
    app = build("evalset classify")
    found = app(["evalset", "classify", place, "--out", str(tmp_path / "t.jsonl"), "--sure", "0.8"])
    assert json.loads(json.dumps(to_json(found)))
    print_value(found, Console(width=140))
    shown = capsys.readouterr().out
    assert "written for this project" in shown and "macro F1" in shown and "assay evalset sample" in shown


def test_a_promise_that_does_not_hold_is_named(shared: Path, tmp_path: Path) -> None:
    found = evalset.classify([str(shared / "data/belle/eval_set.jsonl")], out=tmp_path / "t.jsonl", sure=0.95)
    assert found.checked is not None and found.before == 1000 and not found.typed
    assert found.overstated is not None
    assert "target accuracy 95 %, measured" in said(found.overstated)


def test_real_items_are_told_better_than_by_rules(shared: Path) -> None:
    """BELLE's public evaluation set; a quarter of it was looked at while the wordings were written."""
    rows = [s for s in data.read(shared / "data/belle/eval_set.jsonl") if isinstance(s, Sample)]
    unseen = [s for s in rows if prompt_key(s)[0] >= "4"]
    texts = [prompt_of(s) for s in unseen]
    found = shipped().classify(texts)
    quality = measure_types(
        [s.type or "" for s in unseen], [f.type for f in found], texts, how="unseen",
        confidence=[f.probability for f in found],
    )  # fmt: skip
    assert quality.items > 700 and 0.62 < quality.accuracy < 0.75
    assert quality.low > quality.rules + 0.05 and quality.rules > quality.majority
