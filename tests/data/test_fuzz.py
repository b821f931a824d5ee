"""A slice of the mutated inputs: `python tests/data/mutate.py` runs as many as there is time for."""

from __future__ import annotations

from pathlib import Path

import mutate
import pytest


@pytest.mark.parametrize("seed", range(100, 106))
def test_mutated_files_never_raise_and_lose_no_row(seed: int, tmp_path: Path) -> None:
    for index, kind in enumerate(mutate.inputs(250, seed)):
        path = tmp_path / kind.name
        fault = mutate.examine(kind, path)
        assert fault is None, f"input {index} of seed {seed}, {kind.name}: {fault}"
        path.unlink()


def test_unspoilt_files_are_read_whole(tmp_path: Path) -> None:
    counted = 0
    for kind in mutate.kinds():
        path = tmp_path / kind.name
        path.write_bytes(kind.content)
        found = list(mutate.read(path))
        own = mutate._own_count(kind, mutate.read(path))
        assert own in (None, len(found)), kind.name
        counted += own is not None
        kept = sum(isinstance(row, mutate.Sample) for row in found)
        least = {"empty.json": 0, "lists.json": 0, "objects.json": 16}.get(kind.name, len(found))
        assert kept == least, (kind.name, [row for row in found if not isinstance(row, mutate.Sample)][:3])
    assert counted > 8


def test_the_laws_can_be_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = mutate.kinds()[0]
    monkeypatch.setattr(mutate, "list", lambda rows: [*rows][1:], raising=False)
    fault = mutate.examine(kind, tmp_path / kind.name)
    assert fault is not None and fault.law == "every row is kept or rejected"


@pytest.mark.parametrize("kind", mutate.small(), ids=lambda kind: kind.name)
def test_small_files_are_read_or_refused(kind: mutate.Kind, tmp_path: Path) -> None:
    """Sound, nested without an end in its first line and as a whole, and no UTF-8."""
    mutate.mutate_small.READERS[kind.name][1](_written(tmp_path / kind.name, kind.content))
    deep = b"[" * 50_000
    for content in (deep, deep + b"\n" + kind.content, b"\xff\xfe\xff" + kind.content, b""):
        assert mutate.examine(mutate.Kind(kind.name, content), tmp_path / kind.name) is None


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
