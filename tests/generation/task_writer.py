"""A writer of tasks for the scripted chat server, from the testbed, with faults whose kind is known.

A planted task says its fault in its output, as ``⟦keyword⟧``: the name of the rule that must take it.  Every
reply is a function of the request alone.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping
from typing import Any

from assay.data import synthetic

LABELS = {
    "en": ("### Task {}", "Type: ", "Instruction: ", "Input: ", "Output: ", "(none)"),
    "zh": ("### 任务 {}", "类型：", "指令：", "输入：", "输出：", "（无）"),
}
VARIANTS = {
    "en": (
        LABELS["en"],
        ("**Task {}**", "**Type:** ", "**Instruction:** ", "**Input:** ", "**Output:** ", "N/A"),
        ("{}.", "- type: ", "- instruction: ", "- input: ", "- output: ", "<noinput>"),
    ),
    "zh": (
        LABELS["zh"],
        ("## 任务{}：", "**类型**: ", "**指令**: ", "**输入**: ", "**输出**: ", "无"),
        ("第{}个任务", "【类型】", "【指令】", "【输入】", "【输出】", "<无输入>"),
    ),
}
PLANTS = {
    "en": {
        "keyword": "Look at the attached photograph and describe the mood it conveys to you",
        "length": "Go",
        "language": "请用一句话说明为什么大海是蓝色的，并举一个例子",
    },
    "zh": {
        "keyword": "请看下面的照片，说说它让你想起了什么往事",
        "length": "写",
        "language": "Please explain in one sentence why the sea is blue, and give an example of it",
    },
}
ADDED = {
    "en": "Then compare your result with {a} and explain the difference to a {b} in plain words",
    "zh": "然后把结果和{a}作比较，并用通俗的话向{b}解释差别",
}
WORDS = {
    "en": "lantern harbour violin glacier orchard compass saddle pepper beetle quarry anchor meadow".split(),
    "zh": "灯笼 港口 琵琶 冰川 果园 罗盘 马鞍 辣椒 甲虫 采石场 船锚 草原".split(),
}


def answer(body: Mapping[str, Any]) -> str:
    """Answer a prompt of any of the templates."""
    text = str(body["messages"][-1]["content"])
    rng = random.Random(hashlib.sha256(f"{body.get('seed')}:{text}".encode()).hexdigest())
    language = "zh" if re.search("任务|指令", text) else "en"
    if "<instruction>" in text or "<指令>" in text:
        return solved(text, rng, language)
    if "{" in text.split("\n")[0]:
        raise ValueError("a place was not filled")
    if re.search("given task:|原任务：", text):
        return evolved(text, rng, language)
    if re.search("The task:|待移植的任务：", text):
        return localised(text, rng)
    return written(text, rng, language)


def written(text: str, rng: random.Random, language: str) -> str:
    """Return new tasks: good ones, planted ones, copies of those shown; in one of several forms."""
    count = int(re.findall(r"(\d+) (?:new tasks|个全新)", text)[0])
    if rng.random() < 0.05:
        return "I am sorry, I have no ideas today." if language == "en" else "今天没有想法。"
    wanted = re.findall(r"(?:equal numbers: |大致均衡）：)(.+)", text)
    kinds = re.split(", |、", wanted[0]) if wanted else testbed_types()
    made = synthetic.generate(count, seed=rng.randrange(10**9), languages=[language], types=kinds)
    tasks = []
    for planted in made:
        sample = planted.sample
        tasks.append([sample.type, sample.prompt[-1].content, sample.answer or ""])
    for name, instruction in PLANTS[language].items():
        if rng.random() < 0.3:
            tasks[rng.randrange(len(tasks))] = ["generation", instruction, f"⟦{name}⟧ 42"]
    if rng.random() < 0.3:
        shown = re.findall(r"^(?:Instruction: |指令：)(.+)$", text.split("xample tasks")[-1], re.MULTILINE)
        inputs = re.findall(r"^(?:Input: |输入：)(.+)$", text.split("xample tasks")[-1], re.MULTILINE)
        pick = rng.randrange(len(shown))
        if len(shown) == len(inputs) and inputs[pick] in ("(none)", "（无）"):
            tasks[-1] = ["generation", shown[pick].upper(), "⟦exact⟧ 42"]
    if rng.random() < 0.15:
        rows = [{"type": k, "instruction": i, "input": "", "output": o} for k, i, o in tasks]
        return "```json\n" + json.dumps(rows, ensure_ascii=False, indent=1) + "\n```"
    form = rng.choice(VARIANTS[language])
    return "\n\n".join(block(form, i, *task) for i, task in enumerate(tasks, start=9))


def testbed_types() -> list[str]:
    from assay.core import TASK_TYPES

    return list(TASK_TYPES)


def block(form: tuple[str, ...], number: int, kind: str, instruction: str, output: str) -> str:
    head, *labels, none = form
    parts = (kind, instruction, none, output)
    return "\n".join([head.format(number), *(a + b for a, b in zip(labels, parts, strict=True))])


def evolved(text: str, rng: random.Random, language: str) -> str:
    """Return the task with something added; one in four copies it, or speaks of the prompt."""
    given = re.split("given task:|原任务：", text)[-1]
    instruction = re.search("(?:Instruction: |指令：)(.+)", given)
    material = re.search("(?:Input: |输入：)((?:.|\n)+?)\n\n", given)
    assert instruction is not None and material is not None
    a, b = rng.sample(WORDS[language], 2)
    added = f"{instruction[1]} {ADDED[language].format(a=a, b=b)}"
    drawn = rng.random()
    if drawn < 0.12:
        added = instruction[1]
    elif drawn < 0.25:
        added = f"{added} (rewritten prompt)"
    head, kind, ask, inputs, _, _ = LABELS[language]
    return f"{head.format(1)}\n{kind}math\n{ask}{added}\n{inputs}{material[1]}"


def solved(text: str, rng: random.Random, language: str) -> str:
    if rng.random() < 0.2:
        return "I'm sorry, I cannot help with that." if language == "en" else "很抱歉，我无法回答这个问题。"
    place = rng.randrange(10**6)
    return f"The answer is number {place}." if language == "en" else f"答案是第{place}号。"


def localised(text: str, rng: random.Random) -> str:
    """Return the task in 'German': every word of the instruction with a German frame around it."""
    task = text.split("The task:")[-1]
    kind = re.search("Type: (.+)", task)
    subject = re.sub(r"[^a-z ]", "", task.lower())[60:140].replace("  ", " ")
    if rng.random() < 0.1:
        return "Leider kann ich das nicht."
    return (
        f"### Task 1\nType: {kind[1] if kind else 'math'}\n"
        f"Instruction: Wie ist das mit der Frage nach dem {subject}, und was folgt für die Praxis?\n"
        "Input: (none)\nOutput: Das ist eine Frage der Übung und nicht der Theorie."
    )
