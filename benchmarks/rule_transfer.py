r"""Write pools, evaluation sets and study files for a rule's transfer: English to Chinese and to other data.

    python benchmarks/rule_transfer.py --out runs/transfer
    assay rule transfer recipes/studies/alpaca-rule.json --n 240 --study runs/transfer/chinese.yaml \
        --set models.other_models=true

`recipes/studies/alpaca-rule.json` was fitted on English ratings of Alpaca; with the lexical embedder, which
any script has, it has to be insisted on.  `chinese.yaml`: the translated rows of the revised Chinese Alpaca,
none known to translate one of the English pool, and first turns of OpenAssistant in Chinese, which people
wrote.  `others.yaml`: 6,000 samples of GPTeacher, chain of thought, P3 and GSM8K, and AlpacaEval's koala and
vicuna.  Each is tried with the pocket model and with a Llama of 260,000 parameters, where it is there.
`english.yaml` fits a rule of losses on 6,000 samples of Alpaca (`assay rule design`, `run`, `fit`).  All sets
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
    own = [pair(row) for row in lines_of(folder / "self_instruct" / "user_oriented_instructions.jsonl.gz")]
    sets = {
        "en-pool.jsonl": [pair(english[place]) for place in sorted(taken)],
        "en-fit.jsonl": drawn(alpaca_eval(folder / "judge_outputs", ("helpful_base", "oasst")), ITEMS),
        "en-report.jsonl": drawn(own, ITEMS),
        "zh-pool.jsonl": drawn((row for row in map(pair, apart) if HAN.search(row["output"])), 6000),
        "zh-report.jsonl": drawn(map(pair, people), ITEMS),
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
        study("chinese", "zh-pool.jsonl", "zh-report.jsonl", bases),
        study("others", "other-pool.jsonl", "other-report.jsonl", bases),
    )
    for made in studies:
        (options.out / f"{made['name']}.yaml").write_text(yaml.safe_dump(made, allow_unicode=True), "utf-8")


def drawn_places(rows: Rows, n: int) -> list[int]:
    """Return the places of n rows, drawn by digest of their place."""
    return sorted(range(len(rows)), key=lambda place: hashlib.sha256(str(place).encode()).hexdigest())[:n]


if __name__ == "__main__":
    main()
