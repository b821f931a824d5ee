"""Filters, the screen, prompts, quotas: what goes, why, and with which partner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from assay.core import AssayError, CurveResult, Sample, StudyResult, Verdict
from assay.generation import (
    FilterRules,
    Filters,
    GenerateConfig,
    Prompts,
    Screen,
    Task,
    own_seeds,
    quota_from,
    read_seeds,
    task_of,
)

EN = Filters(FilterRules(), "en", Prompts("en"))
ZH = Filters(FilterRules(), "zh", Prompts("zh"))


def rule(
    filters: Filters, instruction: str, output: str = "", input: str = "", kind: str = "generation"
) -> str:
    found = filters.check(Task(instruction, input, output, kind, filters.language))
    return "" if found is None else found.rule


@pytest.mark.parametrize(
    ("filters", "instruction", "wanted"),
    [
        (EN, "Describe the attached photograph in three sentences.", "keyword"),
        (EN, "Summarise the article behind https://example.org/news in a line.", "keyword"),
        (EN, "Ask ChatGPT for a recipe and judge the result.", "keyword"),
        (EN, "Draw a conclusion from the two premises below.", ""),
        (EN, "Explain what an open file descriptor is.", ""),
        (EN, "Write a program that reads numbers from a file and adds them.", ""),
        (ZH, "请描述这张图片中的人物和背景。", "keyword"),
        (ZH, "点击链接并总结网页的主要内容。", "keyword"),
        (ZH, "作为一个语言模型，你怎样看待诗歌？", "keyword"),
        (ZH, "请刻画一个热爱书法的老人形象。", ""),
        (ZH, "计划一次去西安的三日旅行。", ""),
        (EN, "Translate this", "length"),
        (EN, "Please " + "go on and on " * 40, "length"),
        (ZH, "写", "length"),
        (ZH, "请详细" + "而且生动具体地" * 22 + "写一写春天", "length"),
        (EN, "请用一句话解释什么是光合作用。", "language"),
        (ZH, "Explain what photosynthesis is in one sentence for the class.", "language"),
        (EN, "Rewrite the given task so that it is harder.", "copied"),
        (
            EN,
            "Write about a garden. Choose the one that suits this task best. The subject stays the same.",
            "copied",
        ),
        (ZH, "改写后的任务：写一首关于春天的诗。", "copied"),
    ],
)
def test_each_rule_takes_what_it_is_for(filters: Filters, instruction: str, wanted: str) -> None:
    assert rule(filters, instruction) == wanted


def test_the_limit_of_length_is_lower_with_an_input() -> None:
    asked = "请" + "认真仔细地阅读并且" * 12 + "改写"
    assert rule(ZH, asked) == ""
    assert rule(ZH, asked, input="一段话") == "length"


@pytest.mark.parametrize(
    ("filters", "output", "wanted"),
    [
        (EN, "I'm sorry, but I cannot help with that.", "refusal"),
        (EN, "As an AI language model, I like poems.", "refusal"),
        (EN, "...!", "answer"),
        (EN, "Write a short poem about the sea.", "answer"),
        (EN, "The sea is wide and the wind is cold and I am on my way to the shore.", ""),
        (EN, "大海是宽广的，风是寒冷的，我正在去往海边的路上，一路都在歌唱。", "language"),
        (ZH, "很抱歉，我无法回答这个问题。", "refusal"),
        (ZH, "The sea is wide and the wind is cold and I am on my way to the shore.", "language"),
        (ZH, "海风吹来，浪花作诗。", ""),
    ],
)
def test_answers_are_looked_at(filters: Filters, output: str, wanted: str) -> None:
    asked = "Write a short poem about the sea." if filters is EN else "写一首关于大海的短诗。"
    assert rule(filters, asked, output) == wanted


def test_a_translation_may_be_in_another_language() -> None:
    text = "The sea is wide and the wind is cold and I am on my way to the shore."
    assert rule(ZH, "把下面这句话翻译成英文。", text, "大海宽广，海风寒冷。", "translation") == ""


def test_own_keywords_and_rules_switched_off() -> None:
    own = Filters(FilterRules(("股票",), builtin=False, same_language=False), "zh", Prompts("zh"))
    assert rule(own, "推荐三只值得买的股票。") == "keyword"
    assert rule(own, "请描述这张图片中的人物和背景。") == ""
    assert rule(own, "Explain what photosynthesis is in one sentence.") == ""
    other = Filters(FilterRules(), "sw", Prompts("en"))
    assert not other.tells_language
    assert rule(other, "Eleza kwa sentensi moja usanisinuru ni nini.") == ""


def test_an_evolved_task_must_add_something() -> None:
    parent = Task("Name three rivers of Europe and the seas they reach.", name="new:0")
    added = Task("Name three rivers of Europe, the seas they reach, and the largest port on each of them.")
    same = Task("Name three rivers of Europe and the seas which they reach.")
    assert EN.check(added, parent) is None
    found = EN.check(same, parent)
    assert found is not None and (found.rule, found.partner) == ("no_gain", "new:0")


def test_seeds_of_the_package_pass_but_for_what_they_show_on_purpose() -> None:
    for filters in (EN, ZH):
        found = [filters.check(task) for task in own_seeds(filters.language)]
        assert sum(one is not None and one.rule not in ("length", "keyword") for one in found) == 0
        assert sum(one is not None for one in found) <= 4


def screen(rules: FilterRules | None = None, **given: object) -> Screen:
    made = Screen(rules or FilterRules(), **given)  # type: ignore[arg-type]
    made.hold([Task("List five trees that grow in cold countries.", name="seed-1")])
    return made


def test_what_is_like_a_held_task_goes_with_its_partner_and_score() -> None:
    made = screen()
    copy = made.admit(Task("list FIVE trees that grow in cold countries"))
    like = made.admit(Task("List five trees that grow in warm countries."))
    assert copy is not None and (copy.rule, copy.partner, copy.score) == ("exact", "seed-1", 1.0)
    assert like is not None and (like.rule, like.partner) == ("novelty", "seed-1")
    assert like.score == pytest.approx(7 / 8)
    assert made.admit(Task("Why do leaves turn red in autumn?", name="new:0")) is None
    again = made.admit(Task("Why do leaves turn red in autumn", "Maple", "Because of pigments."))
    assert again is not None and (again.rule, again.partner) == ("novelty", "new:0")


def test_near_copies_of_whole_tasks_go_whatever_their_instruction() -> None:
    made = screen()
    poem = "春眠不觉晓处处闻啼鸟夜来风雨声花落知多少床前明月光疑是地上霜举头望明月低头思故乡"
    poem += "白日依山尽黄河入海流欲穷千里目更上一层楼千山鸟飞绝万径人踪灭孤舟蓑笠翁独钓寒江雪"
    assert made.admit(Task("概括下面这首诗的意思。", poem, "写春天的早晨。", name="new:0")) is None
    found = made.admit(Task("说说这首诗写了什么？", poem, "写春天的早晨。"))
    assert found is not None and (found.rule, found.partner) == ("near", "new:0")


def test_bm25_instead_of_rouge() -> None:
    made = Screen(FilterRules(bm25=6.0))
    made.hold(own_seeds("zh"))
    seed = own_seeds("zh")[3]
    found = made.admit(Task(seed.instruction + "！", "另外的材料", "别的答案"))
    assert found is not None and (found.rule, found.partner) == ("bm25", seed.name)
    assert found.score is not None and found.score > 6


def test_an_evolved_task_may_be_like_its_parent_but_not_like_others() -> None:
    made = screen()
    parent = Task("Compare the climate of two coastal towns and say which suits old people.", name="new:0")
    assert made.admit(parent) is None
    child = Task("Compare the climate of two coastal towns and say which suits old people better in winter.")
    assert made.admit(child) is not None
    assert made.admit(child, parent) is None
    other = Task("Something else that nobody has asked so far in this round.", name="new:9")
    assert made.admit(child, other) is not None


def test_evaluation_prompts_and_pools_are_kept_out() -> None:
    item = Sample.single(
        "一个长方形花坛长十二米宽八米，沿四周铺一条一米宽的小路，求小路的面积。", None, origin="eval:7"
    )
    made = Screen(FilterRules(), evaluation=[item])
    made.hold_samples(
        [
            Sample.single(
                "How do bees find their way home?\n\nUse simple words.", "By the sun.", origin="pool:3"
            )
        ]
    )
    inside = made.admit(
        Task("请计算：一个长方形花坛长十二米宽八米，沿四周铺一条一米宽的小路，求小路的面积。")
    )
    assert inside is not None and (inside.rule, inside.partner) == ("evaluation", "eval:7")
    asked = made.admit(Task("How do bees find their way home today?"))
    assert asked is not None and (asked.rule, asked.partner) == ("novelty", "pool:3")


def test_quotas_fill_up() -> None:
    made = screen(quotas={"math": 1})
    assert made.admit(Task("How many legs have seven spiders together?", type="math")) is None
    reasons = [
        made.admit(Task("A train leaves at noon; when does it arrive after 90 minutes?", type="math")),
        made.admit(Task("Write a letter to your landlord about the heating.", type="generation")),
        made.admit(Task("Say what a haiku is without using the word poem.")),
    ]
    assert [one.rule if one else None for one in reasons] == ["quota"] * 3


# Prompts, seeds, settings.


def test_prompts_of_the_user_stand_for_those_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "self_instruct.txt").write_text("#: mine\nWrite {count}.\nOnly: {types}\n{examples}", "utf-8")
    prompts = Prompts("en", tmp_path)
    text = prompts.self_instruct([Task("Say {hello}.")], count=3, language="de", types=[])
    assert text == "Write 3.\n### Task 1\nInstruction: Say {hello}.\nInput: (none)\nOutput:"
    assert "Only: math, code" in prompts.self_instruct([], count=3, language="de", types=["math", "code"])
    assert "German" in prompts.localise(Task("Say hello."), "de")
    assert prompts.identity != Prompts("en").identity


@pytest.mark.parametrize(
    ("text", "shown"), [("Write {many} tasks.\n{examples}", "many"), ("Write tasks.", "examples")]
)
def test_prompts_with_wrong_places_are_refused(tmp_path: Path, text: str, shown: str) -> None:
    (tmp_path / "self_instruct.txt").write_text(text, "utf-8")
    with pytest.raises(AssayError, match=shown):
        Prompts("en", tmp_path)


def test_no_place_stays_unfilled_in_any_prompt() -> None:
    for language in ("en", "zh"):
        prompts, task = Prompts(language), own_seeds(language)[9]
        texts = [
            prompts.self_instruct([task], count=10, language=language, types=["math"]),
            prompts.localise(task, "de"), prompts.answer(task, language), prompts.classify(task),
            *(prompts.evolve(how, task, language) for how in ("deepen", "constrain", "breadth")),
        ]  # fmt: skip
        for text in texts:
            assert "#:" not in text
            assert not any(
                f"{{{name}}}" in text for name in ("count", "language", "types", "task", "input", "first")
            )
        assert "<input>" not in prompts.answer(Task("Hi there"), language).replace("<输入>", "<input>")


def test_seeds_from_files(tmp_path: Path) -> None:
    rows = '{"id": "a", "instruction": "写诗", "input": "春", "output": "…春…", "type": "生成"}\n\n'
    rows += '{"instruction": "Add.", "instances": [{"input": "1 2", "output": "3"}]}\n'
    (tmp_path / "s.jsonl").write_text(rows, "utf-8")
    found = read_seeds([str(tmp_path / "s.jsonl")])
    assert [(t.instruction, t.input, t.output, t.type) for t in found] == [
        ("写诗", "春", "…春…", "generation"),
        ("Add.", "1 2", "3", None),
    ]
    (tmp_path / "s.jsonl").write_text('{"input": "1"}\n', "utf-8")
    with pytest.raises(AssayError, match=r"s\.jsonl:1"):
        read_seeds([str(tmp_path / "s.jsonl")])
    with pytest.raises(AssayError, match="language"):
        own_seeds("de")


def test_a_task_and_its_sample_are_each_other() -> None:
    task = Task("概括下面的话。", "春天来了。\n\n花开了。", "春暖花开。", "summarization", "zh")
    sample = task.sample("mine")
    assert (sample.type, sample.language, sample.source) == ("summarization", "zh", "mine")
    back = task_of(sample)
    assert (back.instruction, back.input, back.output) == (task.instruction, task.input, task.output)


@pytest.mark.parametrize(
    "given",
    [
        {"n": 0},
        {"n": 5, "per_request": 0},
        {"n": 5, "quotas": {"dance": 3}},
        {"n": 5, "evolve": 1, "answers": "given"},
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(AssayError):
        GenerateConfig(**given)  # type: ignore[arg-type]


def test_quotas_set_the_number() -> None:
    config = GenerateConfig(quotas={"Math": 3, "翻译": 4, "code": 0})
    assert config.n == 7 and config.quotas == {"math": 3, "translation": 4}


def curve(kind: str, word: str, gain: float, metric: str = "score") -> CurveResult:
    verdict = Verdict(word, gain, gain, gain, 0.95, 0.03, 0.02, 0.01)  # type: ignore[arg-type]
    return CurveResult(kind, "random", metric, None, verdict, {})


def result_of(curves: Sequence[CurveResult]) -> StudyResult:
    made = StudyResult.__new__(StudyResult)
    object.__setattr__(made, "curves", tuple(curves))
    object.__setattr__(made, "name", "study")
    return made


def test_quotas_from_a_study_are_the_types_that_rise() -> None:
    curves = [
        curve("overall", "rising", 0.1), curve("math", "rising", 0.02), curve("extraction", "rising", 0.06),
        curve("rewrite", "plateau", 0.0), curve("code", "rising", 0.04), curve("cot", "rising", 0.9, "loss"),
    ]  # fmt: skip
    assert quota_from(result_of(curves), 100) == {"extraction": 34, "code": 33, "math": 33}
    with pytest.raises(AssayError, match="rising"):
        quota_from(result_of(curves[3:4]), 100)
