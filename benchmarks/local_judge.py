"""A judge that is trained and runs on this machine, on BELLE's public evaluation set.

    python benchmarks/local_judge.py --belle eval_set.jsonl [--answers answers.jsonl] [--out runs/local-judge]

The pocket model is fine-tuned on the testbed to tell an item's own answer from that of another item of
the same type, in the words of a short rubric, and then judges as `assay judge` does: local Hugging Face
models of inspect-ai, log-probabilities, a score in [0, 1].  The table says how well it tells right from wrong
on the testbed's other split, and what it makes of BELLE's references, of references of other items, and of a
model's answers (`assay answer pocket eval_set.jsonl answers.jsonl`).  It is no good judge: 1.3 million
parameters know little.  It shows the whole way from a set to a report without a network.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import assay
from assay import data, judging, llm
from assay.core import TASK_TYPES, Message, Sample
from assay.data import synthetic
from assay.jobs._judging_files import read_answers

GENERAL = """[general]
system = "Judge the answer."
template = '''
{question}
<reference>
{reference}
</reference>
<answer>
{answer}
</answer>
{form}'''
form_number = "Right? 1 or 0."
no_reference = "-"
no_reference_use = "-"
scale_line = "{score}"
"""
RUBRIC = """
[{kind}]
name = "{kind}"
criteria = "right"
reference_use = "compare"
needs_reference = false
scale = [{{score = 0, meaning = "wrong"}}, {{score = 1, meaning = "right"}}]
"""


def others(items: Sequence[Sample], rng: random.Random) -> list[str | None]:
    """Return for each item the answer of another item of its type and language, where there is one."""
    pools: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    for item in items:
        if item.answer:
            pools[item.type, item.language].append(item.answer)
    found: list[str | None] = []
    for item in items:
        choices = [a for a in pools[item.type, item.language] if a != item.answer]
        found.append(rng.choice(choices) if choices else None)
    return found


def lessons(items: Sequence[Sample], config: judging.JudgeConfig, rng: random.Random) -> list[Sample]:
    """Return what the judge learns: the request as it will be asked, and the number."""
    wrong, rows = others(items, rng), []
    for item, other in zip(items, wrong, strict=True):
        right = rng.random() < 0.5 or other is None
        (request,) = judging.requests(item, (item.answer if right else other) or "", config)
        rows.append(Sample((*request.messages, Message("assistant", "1" if right else "0"))))
    return rows


def area(good: Sequence[float], bad: Sequence[float]) -> float:
    """Return the chance that a right answer has a higher score than a wrong one."""
    ranks = rankdata([*good, *bad])
    n = len(good)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(bad)))


def scores(
    chat: llm.Chat, items: Sequence[Sample], answers: Sequence[str | None], config: judging.JudgeConfig
) -> list[float | None]:
    return [j.score for j in judging.ask_all(chat, items, answers, config).judgements]


def known(values: Sequence[float | None]) -> list[float]:
    return [v for v in values if v is not None]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--belle")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/local-judge"))
    parser.add_argument("--lessons", type=int, default=6000)
    given = parser.parse_args()
    if given.belle is None:
        print("skipped: give BELLE's evaluation set by --belle")
        return
    given.out.mkdir(parents=True, exist_ok=True)
    rubrics = given.out / "rubrics.toml"
    rubrics.write_text(GENERAL + "".join(RUBRIC.format(kind=kind) for kind in TASK_TYPES), "utf-8")
    name = f"hf/{given.out / 'tuned' / 'model'}"
    config = judging.JudgeConfig(name, repeats=1, mode="logprobs", rubrics=str(rubrics), exact=False)
    rng = random.Random(0)
    train = [p.sample for p in synthetic.generate(given.lessons, seed=7)]
    data.write(iter(lessons(train, config, rng)), given.out / "lessons.jsonl", "samples")
    place = str(given.out / "lessons.jsonl")
    assay.train(place, given.out / "tuned", device="cpu", store=given.out / "store")
    held = [p.sample for p in synthetic.generate(480, seed=8, split="eval")]
    belle = [row for row in data.read(given.belle) if isinstance(row, Sample)]
    print("| set | answers | judged | unparsed | mean score |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as calls, llm.Chat(name, calls=Path(calls)) as chat:
        for label, items in (("testbed, other split", held), ("BELLE", belle)):
            rows = {"own reference": [i.answer for i in items], "that of another item": others(items, rng)}
            if label == "BELLE" and given.answers:
                rows["a model's"] = read_answers(given.answers, items)
            found = {}
            for kind, answers in rows.items():
                asked = [(i, a) for i, a in zip(items, answers, strict=True) if a]
                found[kind] = scores(chat, [i for i, _ in asked], [a for _, a in asked], config)
                had = known(found[kind])
                print(
                    f"| {label} | {kind} | {len(had)} | {len(asked) - len(had)} | {np.mean(had or [0]):.3f} |"
                )
            own, other = known(found["own reference"]), known(found["that of another item"])
            print(f"| {label} | own above another's | | | {area(own, other):.3f} |")
    facts = {"model": name, "lessons": given.lessons}
    (given.out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
