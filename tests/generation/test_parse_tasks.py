"""The parser of replies: forms that models use, and laws over any text and any cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.core import TASK_TYPES
from assay.generation import Prompts, Task, own_seeds, parse

ENGLISH = Task("Name its capital.", "Peru", "Lima", "open_qa")
CHINESE = Task("写出下面这个词的反义词。", "勤劳", "懒惰", "generation")


def plain(task: Task) -> tuple[str | None, str, str, str]:
    return task.type, task.instruction, task.input, task.output


@pytest.mark.parametrize(
    "text",
    [
        "### Task 1\nType: open_qa\nInstruction: Name its capital.\nInput: Peru\nOutput: Lima",
        "**Task 1**\n**Type:** Open QA\n**Instruction:** Name its capital.\n"
        "**Input:** Peru\n**Output:** Lima\n",
        "1. Type: open-qa\n1. Instruction: Name its capital.\n1. Input:\nPeru\n1. Output:\nLima",
        "- type: open_qa\n- instruction: Name its capital.\n- input: Peru\n- output: Lima",
        "Sure! Here are the tasks:\n\n### Task 1:\nType：open_qa\nInstruction：Name its capital."
        "\nInput：Peru\nOutput：Lima",
        "#### Task 7 – capitals\n#### Type: open_qa (facts)\n#### Instruction: Name its capital."
        "\n#### Input: Peru\n#### Output: Lima",
        "```\n### Task 1\nType: open_qa\nInstruction: Name its capital.\nInput: Peru\nOutput: Lima\n```",
        "###\nType: open_qa\r\nInstruction: Name its capital.\r\nInput: Peru\r\nOutput: Lima\r\n###",
        '[{"type": "open_qa", "instruction": "Name its capital.", "input": "Peru", "output": "Lima"}]',
        'Here you are:\n```json\n{"tasks": [{"Type": "open_qa", "Instruction": "Name its capital.",'
        ' "Input": "Peru", "Output": "Lima"}]}\n```',
    ],
)
def test_english_forms_give_the_same_task(text: str) -> None:
    found = parse(text)
    assert [plain(task) for task in found.tasks] == [plain(ENGLISH)]


@pytest.mark.parametrize(
    "text",
    [
        "### 任务 1\n类型：generation\n指令：写出下面这个词的反义词。\n输入：勤劳\n输出：懒惰",
        "## 任务一：\n**类型**：生成\n**指令**：写出下面这个词的反义词。\n**输入**：勤劳\n**输出**：懒惰",
        "第1个任务\n【类型】generation\n【指令】写出下面这个词的反义词。\n【输入】勤劳\n【输出】懒惰",
        "1. 类型: 生成\n1. 指令: 写出下面这个词的反义词。\n1. 输入:\n勤劳\n1. 输出:\n懒惰\n###",
        "好的，以下是新任务：\n\n任务１\n类型：generation（创作）\n指令：写出下面这个词的反义词。\n输入：勤劳\n输出：懒惰",
        '[{"类型": "生成", "指令": "写出下面这个词的反义词。", "输入": "勤劳", "输出": "懒惰"}]',
        '{"type": "generation", "instruction": "写出下面这个词的反义词。", "input": "勤劳",'
        ' "output": "懒惰"}\n',
    ],
)
def test_chinese_forms_give_the_same_task(text: str) -> None:
    found = parse(text, language="zh")
    assert [plain(task) for task in found.tasks] == [plain(CHINESE)]
    assert found.tasks[0].language == "zh"


@pytest.mark.parametrize(
    "none", ["(none)", "None", "N/A", "（无）", "无", "<无输入>", "<noinput>", "No input", "-", ""]
)
def test_words_for_no_input_are_no_input(none: str) -> None:
    found = parse(f"### Task 1\nInstruction: Say something kind.\nInput: {none}\nOutput: Well done.")
    assert [plain(task) for task in found.tasks] == [(None, "Say something kind.", "", "Well done.")]


def test_an_answer_may_hold_labels_headings_and_fences() -> None:
    answer = "```python\nprint('Input:')\n```\nInput: 3\nOutput: 9\n\n### Steps\n1. Type\n\n### Task force"
    text = f"### Task 1\nType: code\nInstruction: Square it.\nInput: (none)\nOutput: {answer}\n\n"
    text += "### Task 2\nType: math\nInstruction: Add.\nInput: 1, 2\nOutput: 3"
    found = parse(text)
    assert [plain(t) for t in found.tasks] == [
        ("code", "Square it.", "", answer),
        ("math", "Add.", "1, 2", "3"),
    ]


def test_a_missing_heading_does_not_join_two_tasks() -> None:
    text = "### Task 1\nType: math\nInstruction: Add.\nInput: 1, 2\nOutput: 3\nType: math\n"
    text += "Instruction: Double.\nInput: 4\nOutput: 8"
    assert [t.output for t in parse(text).tasks] == ["3", "8"]


def test_broken_blocks_are_handed_back_and_the_others_stay() -> None:
    text = (
        "### Task 1\nType: math\nInput: 4\nOutput: 8\n\n"
        "### Task 2\nType: math\nInstruction: Add.\nInput: 1\n\n"
        "### Task 3\nType: unheard-of\nInstruction: Halve.\nInput: 8\nOutput: 4"
    )
    found = parse(text)
    assert [plain(t) for t in found.tasks] == [(None, "Halve.", "8", "4")]
    assert [one.reason for one in found.unread] == ["no instruction", "no output"]
    unanswered = parse(text, answered=False)
    assert [t.instruction for t in unanswered.tasks] == ["Add.", "Halve."]


def test_json_with_a_broken_object_keeps_the_others() -> None:
    good = json.dumps({"instruction": "写一句话", "output": "好。"}, ensure_ascii=False)
    found = parse(f'[{good}, {{"instruction": "a "quoted" word", "output": "x"}}, {good}]')
    assert [t.instruction for t in found.tasks] == ["写一句话", "写一句话"]
    assert len(found.unread) == 1


def test_values_that_are_no_texts_become_texts() -> None:
    found = parse('[{"instruction": "列出两种水果", "input": null, "output": ["苹果", "梨"]}]')
    assert plain(found.tasks[0]) == (None, "列出两种水果", "", '["苹果", "梨"]')


@pytest.mark.parametrize(
    "text", ["", "   \n", "I cannot do that.", "[]", "{}", "[1, 2]", "{" * 5000, "[" * 5000]
)
def test_a_reply_without_a_task_is_unread(text: str) -> None:
    found = parse(text)
    assert found.tasks == () and found.unread


def test_what_is_cut_off_is_left_out_and_said() -> None:
    text = "### Task 1\nType: math\nInstruction: Add.\nInput: 1, 2\nOutput: 3\n\n"
    text += "### Task 2\nType: math\nInstruction: Dou"
    found = parse(text, cut=True)
    assert [t.output for t in found.tasks] == ["3"]
    assert [(one.rule, one.reason) for one in found.unread] == [("cut", "the reply was cut off in this task")]
    assert "Dou" in found.unread[0].text


def test_seed_tasks_survive_the_form_that_prompts_show() -> None:
    for language in ("en", "zh"):
        prompts = Prompts(language)
        seeds = own_seeds(language)
        text = "\n\n".join(prompts.block(task, i) for i, task in enumerate(seeds, start=1))
        found = parse(text)
        wanted = [(t.type, " ".join(t.instruction.split()), t.input, t.output) for t in seeds]
        assert [plain(t) for t in found.tasks] == wanted
        assert not found.unread


words = st.text(st.sampled_from("abc xyz 数学，。：:#*-`\n1"), min_size=1, max_size=30).filter(str.strip)
tasks = st.lists(
    st.builds(Task, words, st.one_of(st.just(""), words), words, st.sampled_from(TASK_TYPES)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(tasks, st.sampled_from(["en", "zh"]), st.floats(0, 1))
@example([Task("a", "b", "c", "math"), Task("d", "", "e", "code")], "en", 0.6)
def test_any_cut_of_a_reply_gives_a_prefix_of_its_tasks(
    found: list[Task], language: str, where: float
) -> None:
    prompts = Prompts(language)
    text = "\n\n".join(prompts.block(task, i) for i, task in enumerate(found, start=1))
    whole = [plain(t) for t in parse(text).tasks]
    part = [plain(t) for t in parse(text[: int(where * len(text))], cut=True).tasks]
    assert part == whole[: len(part)]


@settings(max_examples=80, deadline=None)
@given(tasks, st.floats(0, 1))
@example([Task("1", "", "**", "math")], 0.0)
def test_any_cut_of_json_gives_a_prefix_of_its_tasks(found: list[Task], where: float) -> None:
    rows = [
        {"type": t.type, "instruction": t.instruction, "input": t.input, "output": t.output} for t in found
    ]
    text = json.dumps(rows, ensure_ascii=False)
    whole = [plain(t) for t in parse(text).tasks]
    assert len(whole) == len(found)
    part = [plain(t) for t in parse(text[: int(where * len(text))], cut=True).tasks]
    assert part == whole[: len(part)]


pieces = st.sampled_from(
    [
        *"### Task 1|Type:|类型：|Instruction:|指令：|Input:|输出：".split("|"),
        *'{|}|[|"|:|```|math|（无）|\\u|1.|**|文|\\'.split("|"),
        *("\n", "\n\n", "\ud800", "\x00", '{"instruction": "a"}'),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(pieces, max_size=40).map("".join)), st.booleans(), st.booleans())
def test_it_never_raises_and_loses_no_text_silently(text: str, cut: bool, answered: bool) -> None:
    found = parse(text, cut=cut, answered=answered)
    assert found.tasks or found.unread
    assert all(task.instruction and (task.output or not answered) for task in found.tasks)
