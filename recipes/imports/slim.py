"""Make the fixtures of tests/results out of what the other scripts wrote: the files without what is not read.

``python recipes/imports/slim.py FOLDER tests/results/peers``: weights, tokenizers, pickles and what tells of
the machine go; trackers' stores keep the tables and runs that are looked at.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

KEPT = (
    "trainer_state.json", "all_results.json", "eval_results.json", "train.yaml", "README.md",
    "adapter_config.json",
)  # fmt: skip
MACHINE = ("pretty_env_info", "git_hash", "upper_git_hash")
TABLES = {"runs", "params", "latest_metrics", "metrics", "experiments", "configs"}


def trained(source: Path, target: Path) -> None:
    """Copy what a trainer wrote of each run and checkpoint."""
    for file in sorted(p for p in source.rglob("*") if p.name in KEPT):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


def evaluated(source: Path, target: Path) -> None:
    """Copy results of lm-evaluation-harness without the machine; arguments repeat the document."""
    for file in sorted(source.rglob("*.json*")):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".json":
            found = {k: v for k, v in json.loads(file.read_text("utf-8")).items() if k not in MACHINE}
            place.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
        else:
            rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
            kept = [
                {k: v for k, v in row.items() if k not in ("arguments", "resps", "prompt_hash")}
                for row in rows
            ]
            place.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept), "utf-8")


def stored(source: Path, target: Path) -> None:
    """Copy a SQLite store with the tables that are read alone, and without names of the machine."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    with closing(sqlite3.connect(target)) as store:
        names = [n for (n,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if name not in TABLES and not name.startswith("sqlite_"):
                store.execute(f'DROP TABLE "{name}"')
        for (index,) in store.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
        ).fetchall():
            store.execute(f'DROP INDEX "{index}"')
        if "runs" in names:
            store.execute("UPDATE runs SET artifact_uri = '', source_name = '', user_id = ''")
            store.execute("UPDATE experiments SET artifact_location = ''")
            store.execute("DELETE FROM params WHERE value LIKE '/%' OR value LIKE '{%' OR value = 'None'")
            store.execute("DELETE FROM metrics WHERE key IN ('grad_norm', 'num_tokens', 'entropy')")
        store.commit()
        store.execute("PRAGMA page_size = 1024")
        store.execute("VACUUM")


def main(source: Path, target: Path) -> None:
    """Write all fixtures."""
    trained(source / "runs", target / "trl")
    if (source / "factory").is_dir():
        trained(source / "factory", target / "llamafactory")
    evaluated(source / "lm_eval", target / "lm_eval")
    stored(source / "mlflow.db", target / "mlflow" / "mlflow.db")
    stored(source / "trackio" / "p.db", target / "trackio" / "p.db")
    shutil.copytree(source / "tensorboard", target / "tensorboard", dirs_exist_ok=True)
    shutil.copytree(source / "inspect", target / "inspect", dirs_exist_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
