"""The dashboard with 100 studies, 10,000 runs and 1,000,000 judgements: the time of each page.

``python benchmarks/dashboard_load.py FOLDER`` writes them to FOLDER (some minutes the first time), asks every
page as a browser does, and prints the median and the 95th percentile of the processor and wall time;
``--quick`` writes three studies to a folder that is removed again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

STUDIES, RUNGS, SEEDS, ITEMS = 100, 20, 5, 100
ASKED = 61


def key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def stored(store: Path, name: str, files: dict[str, Any]) -> None:
    """Write an object as a commit does: its files and a manifest."""
    folder = store / "objects" / name[:2] / name
    folder.mkdir(parents=True)
    sizes = {}
    for file, frame in files.items():
        (folder / file).write_text('{"items": 100}') if frame is None else frame.write_parquet(folder / file)
        content = (folder / file).read_bytes()
        sizes[file] = [len(content), hashlib.sha256(content).hexdigest()]
    facts = {"name": "step", "label": name[:8], "seconds": 1.0, "files": sizes, "inputs": {}, "config": {}}
    (folder / "manifest.json").write_text(json.dumps(facts))


def write_study(folder: Path, index: int) -> None:
    """Write one study: its store, its models, and what was measured of each."""
    import polars

    from assay import data
    from assay.core import Message, Sample
    from assay.plan import Store

    name = f"study-{index:03}"
    store, report = folder / "store", folder / "runs" / name
    report.mkdir(parents=True)
    Store(store)
    kinds = ["math", "code", "open_qa", "rewrite"]
    samples = [
        Sample((Message("user", f"{name} {i}"), Message("assistant", "four")), kinds[i % 4])
        for i in range(ITEMS)
    ]
    evaluation = key(name, "evaluation")
    place = store / "objects" / evaluation[:2] / evaluation
    (place / "dataset").mkdir(parents=True)
    data.write_dataset(samples, place / "dataset")
    (place / "manifest.json").write_text(
        json.dumps({"name": "read", "label": "", "seconds": 1.0, "files": {}})
    )
    rows, steps = [], []
    for rung in range(RUNGS + 1):
        for seed in range(SEEDS if rung else 1):
            n = 100 * 2 ** (rung // 2) + rung if rung else 0
            own = {part: key(name, n, seed, part) for part in ("train", "answer", "judge")}
            scores = [((i * 7 + n + seed) % 10) / 10 for i in range(ITEMS)]
            ids = [s.id for s in samples]
            types = [s.type for s in samples]
            head = {"item": ids, "type": types}
            counts = {name: [4] * ITEMS for name in ("tokens", "n_bytes")}
            items = polars.DataFrame({**head, "answer": ["four"] * ITEMS, "nats": [1.0] * ITEMS, **counts})
            groups = polars.Series("group", [None] * ITEMS, polars.String)
            said = ["checker"] * ITEMS
            judged = polars.DataFrame({**head, "score": scores, "method": said, "group": groups})
            stored(store, own["answer"], {"items.parquet": items, "counts.json": None})
            stored(store, own["judge"], {"judgements.parquet": judged})
            if rung:
                stored(store, own["train"], {})
            model = {"arm": "random" if rung else "base", "n_train": n, "seed": seed, "base": "/pocket"}
            measured_by = {"answer": own["answer"], "judged": own["judge"]}
            rows.append({**model, "key": own["train"] if rung else None, **measured_by})
            steps += [[own[part], part, f"{n} {seed}", 1.0] for part in own]
    listed = {"store": str(store), "evaluation": evaluation, "pool": key(name, "pool"), "models": rows}
    listed |= {"pool_samples": 10_000, "of_several": False}
    (report / "models.json").write_text(json.dumps(listed))
    (report / "steps.json").write_text(json.dumps({"store": str(store), "whole": True, "steps": steps}))
    (report / "says.json").write_text(json.dumps({"en": f"{name} says so.", "zh": f"{name}。"}))
    (report / "result.json").write_text("{}")


def measured(folder: Path, study: str) -> None:
    """Ask each page and print how long it took."""
    import asyncio

    import httpx

    from assay.jobs._shelf import Shelf
    from assay.serving._door import Door
    from assay.serving._site import build_app

    def never(place: Any, device: str) -> Any:
        raise AssertionError("no model is opened")

    door = Door.new()
    app = build_app(Shelf(folder / "runs", (), never), door, frozenset(("127.0.0.1",)))
    pages = ("/", "/v1/models", f"/study/{study}", "/chat")

    async def ask() -> None:
        transport = httpx.ASGITransport(app=app)
        cookies = {door.cookie: door.session}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", cookies=cookies) as client,
        ):
            for page in pages:
                spent: list[tuple[float, float]] = []
                for _ in range(ASKED):
                    wall, own = time.perf_counter(), time.process_time()
                    answer = await client.get(page)
                    assert answer.status_code == 200, (page, answer.status_code, answer.text[:300])
                    spent.append((time.perf_counter() - wall, time.process_time() - own))
                for what, times in zip(("wall", "processor"), zip(*spent, strict=True), strict=True):
                    first, later = times[0], sorted(times[1:])
                    middle, high = later[len(later) // 2], later[int(0.95 * len(later))]
                    print(f"{page} {what}: first {first:.3f} s, then median {middle:.3f} s, p95 {high:.3f} s")

    asyncio.run(ask())


def main() -> None:
    import tempfile

    quick = "--quick" in sys.argv
    folder = Path(tempfile.mkdtemp() if quick else sys.argv[1]).resolve()
    for index in range(3 if quick else STUDIES):
        if not (folder / "runs" / f"study-{index:03}" / "result.json").is_file():
            write_study(folder, index)
    measured(folder, f"study-{1 if quick else STUDIES // 2:03}")
    if quick:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
