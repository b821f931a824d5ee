"""Text indicators: against lexicalrichness, and in Chinese as in English."""

from __future__ import annotations

import random
from pathlib import Path

import polars
import pytest

from assay.core import AssayError, Processes, Sample
from assay.indicators import INDICATORS, Undefined, hdd, mtld, score


def value(name: str, prompt: str, answer: str | None, **fields: str) -> float | str:
    (found,) = INDICATORS[name].measure([Sample.single(prompt, answer, **fields)])
    return found.reason if isinstance(found, Undefined) else found


def texts() -> list[list[str]]:
    rng = random.Random(0)
    return [
        rng.choices([f"w{i}" for i in range(rng.choice((5, 30, 200)))], k=n) for n in (10, 50, 120, 400) * 5
    ]


@pytest.mark.parametrize("words", texts())
def test_mtld_and_hdd_equal_lexicalrichness(words: list[str]) -> None:
    from lexicalrichness import LexicalRichness

    oracle = LexicalRichness(" ".join(words), preprocessor=None, tokenizer=str.split)
    found = mtld(words)
    if len(set(words)) < len(words):
        assert found == pytest.approx(oracle.mtld(threshold=0.72))
    else:
        assert found == Undefined("no word is repeated")
    if len(words) >= 42:
        assert hdd(words) == pytest.approx(oracle.hdd(draws=42))


def test_short_texts_have_no_diversity_rather_than_minus_one() -> None:
    assert mtld(["a", "b", "a"]) == Undefined("fewer than 10 words")
    assert hdd(["a"] * 41) == Undefined("fewer than 42 words")
    from lexicalrichness import LexicalRichness

    assert mtld(["a"] * 20) == pytest.approx(LexicalRichness("a " * 20).mtld())


def test_chinese_is_segmented_into_words() -> None:
    text = (
        "机器学习是人工智能的一个重要分支，机器学习让计算机从数据中学习规律，"
        "数据越多效果越好，但是数据的质量也很重要。"
    )
    assert value("len_out", "解释机器学习", text) == pytest.approx(28, abs=6)
    found = value("mtld", "解释机器学习", text)
    assert isinstance(found, float) and 5 < found < 200
    assert value("repetition", "问", "好的好的好的好的好的好的好的好的") > 0.5  # type: ignore[operator]


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ("As an AI language model, I cannot browse the web.", 1.0),
        ("I'm sorry, but I can't assist with that.", 1.0),
        ("作为一个人工智能语言模型，我无法回答这个问题。", 1.0),
        ("很抱歉，我不能提供帮助。", 1.0),
        ("The sorry state of the bridge was known.", 0.0),
        ("人工智能是计算机科学的一个分支。", 0.0),
        ("Paris is the capital of France.", 0.0),
    ],
)
def test_refusals_are_seen(answer: str, refused: float) -> None:
    assert value("refusal", "Question?", answer) == refused


def test_language_match() -> None:
    assert value("language_match", "What is the capital of France?", "The capital of France is Paris.") == 1
    assert value("language_match", "法国的首都是哪里？", "The capital of France is Paris.") == 0
    assert value("language_match", "Translate to Chinese: hello", "你好", type="translation") == (
        "a translation answers in another language"
    )
    assert value("language_match", "2+2", "4") == "the language cannot be told"
    assert value("language_match", "用一个词概括：城市、村子", "food") == 0
    assert value("language_match", "Say one word", "食物") == 0
    assert value("language_match", "写Python：x除以5", "x/5") == "the language cannot be told"


def test_stock_phrases_are_counted_in_both_languages() -> None:
    assert value("boilerplate", "q", "Paris.") == 0
    assert value("boilerplate", "q", "Sure, here is the list you asked for:\n1. Paris") == pytest.approx(
        37 / 46
    )
    assert value("boilerplate", "q", "Paris. I hope this helps!") == pytest.approx(18 / 25)
    assert value("boilerplate", "问", "当然可以！巴黎。希望对你有帮助。") == pytest.approx(5 / 16)
    assert value("boilerplate", "问", "以下是三个建议：早睡") == pytest.approx(8 / 10)


def test_ends_brackets_repetition_overlap_and_letters_lost() -> None:
    whole = "This is a sentence of rather many words that comes to its proper end."
    assert value("complete", "q", whole) == 1 and value("complete", "q", whole[:-9]) == 0
    assert value("complete", "q", "Paris") == "too short to tell"
    assert (
        value("complete", "问", "这是一个足够长的句子，用来检查文本是否在句号处结束，谢谢大家的阅读。") == 1
    )
    assert value("balanced", "q", "f(x) = [1, 2]") == 1 and value("balanced", "q", "f(x = [1, 2]") == 0
    assert value("balanced", "q", "a) one\nb) two") == 1 and value("balanced", "q", "```python\nx") == 0
    assert value("repetition", "q", "a b c d " * 10) == pytest.approx(33 / 37)
    assert value("repetition", "q", "one two three") == "fewer than four words"
    assert value("overlap", "red green", "green blue") == 0.5
    assert value("garbled", "q", "caf\ufffd") == 0.25 and value("garbled", "q", "50% off & more #1") == 0


@pytest.mark.parametrize("name", [n for n, i in INDICATORS.items() if n != "len_in" and not i.needs])
def test_no_answer_is_no_value(name: str) -> None:
    assert value(name, "q", None) == "no answer" and value(name, "q", "  ") == "no answer"


def test_a_table_has_values_reasons_and_versions_whatever_the_workers(tmp_path: Path) -> None:
    rows = [Sample.single(f"Question {i}?", "word " * (i % 30) or None, origin=f"f:{i}") for i in range(2500)]
    one = score(rows, tmp_path / "one.parquet", ["mtld", "len_out"])
    with Processes(2) as pool:
        score(rows, tmp_path / "two.parquet", ["mtld", "len_out"], pool=pool)
    frame = polars.read_parquet(tmp_path / "one.parquet")
    assert frame.equals(polars.read_parquet(tmp_path / "two.parquet"))
    assert frame["origin"].to_list() == [r.origin for r in rows] and frame["id"][7] == rows[7].id
    assert frame["mtld"][5] is None and "mtld: fewer than 10 words" in frame["why"][5]
    summary = {i.name: i for i in one.indicators}
    assert summary["mtld"].defined + summary["mtld"].undefined == one.samples == 2500
    assert summary["len_out"].why == "no answer"


def test_unknown_indicators_say_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="mtld"):
        score([], tmp_path / "x.parquet", ["beauty"])
    with pytest.raises(AssayError, match="no sample"):
        score([], tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []
