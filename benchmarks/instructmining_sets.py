"""Write three disjoint evaluation sets: one to fit a rule, one to search the size, one to report.

    python benchmarks/instructmining_sets.py --out runs/instructmining

From AlpacaEval's instructions with the answers of one of its models as references (INSTRUCTMINING used a
strong model's answers in the same way): `fit.jsonl` holds helpful_base and oasst, `search.jsonl` koala and
vicuna; `report.jsonl` the 252 user-oriented instructions of self-instruct, whose references people wrote.
AlpacaEval's own copy of these 252 is left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path
from typing import Any

SETS = {"fit": ("helpful_base", "oasst"), "search": ("koala", "vicuna")}


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of gzipped JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    folder = Path(os.environ.get("ASSAY_SHARED", "../shared")) / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/instructmining"))
    parser.add_argument("--model", default="text_davinci_003", help="whose answers are the references")
    parser.add_argument("--quick", action="store_true", help="only say what would be written")
    options = parser.parse_args()
    source = folder / "judge_outputs"
    if not source.exists():
        print("skipped: no AlpacaEval")
        return
    instructions = lines_of(source / "alpaca_eval_instructions.jsonl.gz")
    answers = {
        row["idx"]: row["output"]
        for row in lines_of(source / "alpaca_eval_outputs.jsonl.gz")
        if row["generator"] == options.model
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name, sources in SETS.items():
        rows = [
            {"instruction": row["instruction"], "output": answers[row["idx"]]}
            for row in instructions
            if row["dataset"] in sources and answers.get(row["idx"], "").strip()
        ]
        print(f"{name}: {len(rows)} items of {', '.join(sources)}")
        if not options.quick:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (options.out / f"{name}.jsonl").write_text(text, encoding="utf-8")
    people = gzip.decompress((folder / "self_instruct/user_oriented_instructions.jsonl.gz").read_bytes())
    print(f"report: {len(people.splitlines())} items of self-instruct")
    if not options.quick:
        (options.out / "report.jsonl").write_bytes(people)


if __name__ == "__main__":
    main()
