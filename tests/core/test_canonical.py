from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core import AssayError, canonical_json, digest, file_digest

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(plain)
def test_canonical_json_is_json_of_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))


def test_kinds_of_numbers_differ() -> None:
    assert len({digest(1), digest(1.0), digest(True), digest("1")}) == 4


@pytest.mark.parametrize("bad", [{1: 2}, float("nan"), float("inf"), b"x", {"a": [Path("x")]}, {1, 2}])
def test_unknown_types_are_refused_with_their_place(bad: object) -> None:
    with pytest.raises(AssayError) as caught:
        canonical_json({"config": bad})
    assert caught.value.place is not None
    assert caught.value.place.startswith("$.config")


def test_digest_is_stable_over_processes() -> None:
    code = "from assay.core import digest; print(digest({'b': [1, 2.5, None], 'a': '数据'}))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": s},
        ).stdout
        for s in ("1", "2")
    }
    assert outputs == {digest({"a": "数据", "b": [1, 2.5, None]}) + "\n"}


def test_file_digest_equals_hashlib(tmp_path: Path) -> None:
    import hashlib

    content = b"abc" * 1_000_000
    (tmp_path / "f").write_bytes(content)
    assert file_digest(tmp_path / "f") == hashlib.sha256(content).hexdigest()
