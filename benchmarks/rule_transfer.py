r"""Write pools, evaluation sets and study files for a rule's transfer: Alpaca and other data, two languages.

    python benchmarks/rule_transfer.py --out runs/transfer
    assay rule transfer recipes/studies/alpaca-rule.json --n 240 --study runs/transfer/alpaca.yaml \
        --study runs/transfer/others.yaml --study runs/transfer/chinese.yaml \
        --study runs/transfer/chinese-others.yaml --set models.other_models=true

`recipes/studies/alpaca-rule.json` was fitted on English ratings of Alpaca; with the lexical embedder, which
any script has, it has to be insisted on.  Each study is tried with the pocket model and with a Llama of
260,000 parameters, where it is there; no set shares a row with another.

| study | pool, at most 6,000 samples of | evaluation set |
|---|---|---|
| `alpaca` | Alpaca, which the rule was fitted on: do raters foretell losses? | 252 answers of people |
| `others` | GPTeacher, chain of thought, P3, GSM8K | AlpacaEval's koala and vicuna |
| `chinese` | revised Chinese Alpaca, none known of `alpaca` | first turns of OpenAssistant, by people |
| `chinese-others` | Chinese questions on code and more, first turns of ShareGPT | AlignBench's references |

`english.yaml` fits a rule of losses on the pool of `alpaca` (`assay rule design`, `run`, `fit`).  All sets
have at most 120 items, all subsets 240 samples: minutes, not hours.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

HAN = re.compile("[\u4e00-\u9fff]")
"""Near half of the revised file is not translated yet; such rows are left out."""
Rows = list[dict[str, Any]]
RECIPE = {"preset": "pocket", "max_tokens": 192, "batch_size": 8}
N, ITEMS = 240, 120
INDICATORS = ["len_in", "len_out", "compression", "overlap", "novelty", "knn"]
OTHERS = ("cot", "gpteacher_codegen", "gpteacher_roleplay", "p3_t0_40_per_template", "gsm8k_train")


def lines_of(path: Path) -> Rows:
    """Return the rows of gzipped JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def drawn(rows: Iterable[dict[str, Any]], n: int) -> Rows:
    """Return n rows, drawn by the digest of what they say."""

    def place(row: dict[str, Any]) -> str:
        return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()

    return sorted(rows, key=place)[:n]


def pair(row: dict[str, Any]) -> dict[str, str]:
    """Return a row of any of the pools with the same three fields."""
    asked = row.get("instruction") or row.get("question") or row.get("prompt") or ""
    said = row.get("output") or row.get("answer") or row.get("response") or row.get("completion") or ""
    if "instances" in row:
        row = row["instances"][0]
        said = row["output"]
    return {"instruction": asked, "input": row.get("input") or "", "output": said}


def write(folder: Path, name: str, rows: Rows) -> str:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows if row["output"].strip())
    (folder / name).write_text(text, encoding="utf-8")
    return name


def alpaca_eval(folder: Path, sources: tuple[str, ...]) -> Rows:
    """Return AlpacaEval's instructions of some sources with text-davinci-003's answers."""
    answers = {
        row["idx"]: row["output"]
        for row in lines_of(folder / "alpaca_eval_outputs.jsonl.gz")
        if row["generator"] == "text_davinci_003"
    }
    asked = lines_of(folder / "alpaca_eval_instructions.jsonl.gz")
    return [
        {"instruction": row["instruction"], "input": "", "output": answers.get(row["idx"], "")}
        for row in asked
        if row["dataset"] in sources
    ]


def first_turn(row: dict[str, Any]) -> dict[str, str]:
    """Return what was asked and answered first in a dialogue of ShareGPT; some have no answer."""
    turns = [turn["value"] for turn in row["conversations"]]
    return {"instruction": turns[0], "input": "", "output": turns[1] if len(turns) > 1 else ""}


def chinese_others(folder: Path) -> Rows:
    """Return Chinese samples that do not come from Alpaca, without bare sums, which have no language."""
    extra = map(pair, lines_of(folder / "zh_extra.jsonl.gz"))
    talks = map(first_turn, lines_of(folder / "sharegpt_zh_1k.jsonl.gz"))
    return [row for row in (*extra, *talks) if HAN.search(row["instruction"] + row["output"])]


def referenced(row: dict[str, Any]) -> dict[str, str]:
    """Return a question of AlignBench with its reference answer."""
    return {"instruction": row["question"], "input": "", "output": row["reference"]}


def study(name: str, pool: str, evaluation: str, bases: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "base": bases, "pool": pool, "evaluation": evaluation, "recipe": RECIPE,
        "ladder": {"rungs": [N], "seeds": 3}, "measure": {"answers": False, "text": False},
        "models": {"embedder": "lexical"}, "recipe_check": False, **more,
    }  # fmt: skip


def main() -> None:
    shared = Path(os.environ.get("ASSAY_SHARED", "../shared"))
    folder = shared / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"))
    parser.add_argument("--quick", action="store_true", help="only say what would be written")
    options = parser.parse_args()
    if not (folder / "alpaca_zh").exists():
        print("skipped: no data")
        return
    english = lines_of(folder / "alpaca_en_52k" / "alpaca_data.jsonl.gz")
    taken = set(drawn_places(english, 6000))
    chinese = lines_of(folder / "alpaca_zh" / "alpaca_zh_human_revised.jsonl.gz")
    apart = [
        row for row in chinese if row.get("alpaca_index") not in taken and row.get("alpaca_index") is not None
    ]
    people = [
        row for row in lines_of(folder / "alpaca_zh" / "oaast_sft_zh.jsonl.gz") if not row.get("history")
    ]
    other = [pair(row) for name in OTHERS for row in lines_of(folder / "other_pools" / f"{name}.jsonl.gz")]
    asked = lines_of(folder / "eval_sets" / "alignbench_zh_683.jsonl.gz")
    own = [pair(row) for row in lines_of(folder / "self_instruct" / "user_oriented_instructions.jsonl.gz")]
    sets = {
        "en-pool.jsonl": [pair(english[place]) for place in sorted(taken)],
        "en-fit.jsonl": drawn(alpaca_eval(folder / "judge_outputs", ("helpful_base", "oasst")), ITEMS),
        "en-report.jsonl": drawn(own, ITEMS),
        "zh-pool.jsonl": drawn((row for row in map(pair, apart) if HAN.search(row["output"])), 6000),
        "zh-report.jsonl": drawn(map(pair, people), ITEMS),
        "zh-other-pool.jsonl": drawn(chinese_others(folder / "alpaca_zh"), 6000),
        "zh-other-report.jsonl": drawn(map(referenced, asked), ITEMS),
        "other-pool.jsonl": drawn(other, 6000),
        "other-report.jsonl": drawn(alpaca_eval(folder / "judge_outputs", ("koala", "vicuna")), ITEMS),
    }
    for name, rows in sets.items():
        print(f"{name}: {len(rows):,} rows")
    if options.quick:
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for name, rows in sets.items():
        write(options.out, name, rows)
    rule = {"indicators": INDICATORS, "evaluation": "en-fit.jsonl", "n": N, "runs": 32, "doubled": 0}
    stories = shared / "models" / "stories260k"
    bases = {"pocket": "pocket", "stories": str(stories.resolve())} if stories.exists() else "pocket"
    studies = (
        study("english", "en-pool.jsonl", "en-report.jsonl", "pocket", rule=rule),
        study("alpaca", "en-pool.jsonl", "en-report.jsonl", bases),
        study("others", "other-pool.jsonl", "other-report.jsonl", bases),
        study("chinese", "zh-pool.jsonl", "zh-report.jsonl", bases),
        study("chinese-others", "zh-other-pool.jsonl", "zh-other-report.jsonl", bases),
    )
    for made in studies:
        (options.out / f"{made['name']}.yaml").write_text(yaml.safe_dump(made, allow_unicode=True), "utf-8")


def drawn_places(rows: Rows, n: int) -> list[int]:
    """Return the places of n rows, drawn by digest of their place."""
    return sorted(range(len(rows)), key=lambda place: hashlib.sha256(str(place).encode()).hexdigest())[:n]


if __name__ == "__main__":
    main()
