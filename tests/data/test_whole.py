"""Files appear whole or not at all, and hold any text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.data import replacing, write_lines


def test_half_a_surrogate_pair_is_read_back_as_it_was(tmp_path: Path) -> None:
    rows = [{"text": "半 \ud83d of a pair"}, {"text": "whole 😀"}]
    assert write_lines(rows, tmp_path / "deep" / "a.jsonl") == 2
    lines = (tmp_path / "deep" / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    place.write_text("old")

    def half_way() -> None:
        with replacing(place) as partial:
            partial.write_text("ne")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        half_way()
    assert place.read_text() == "old" and list(tmp_path.iterdir()) == [place]
