from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from assay.core import AssayError
from assay.plan import Estimate, Step, in_order

configs = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=4)


@given(configs)
def test_key_does_not_hang_on_execution(config: dict[str, object]) -> None:
    step = Step("a", 1, "m:f", config)
    moved = Step(
        "a", 1, "elsewhere:g", dict(reversed(config.items())), where={"device": "cuda"}, label="x",
        estimate=Estimate(seconds=3.0),
    )  # fmt: skip
    assert step.key == moved.key


@given(configs)
def test_key_hangs_on_all_of_identity(config: dict[str, object]) -> None:
    step = Step("a", 1, "m:f", config)
    others = [
        replace(step, name="b"),
        replace(step, version=2),
        replace(step, config={**config, "another": 1}),
        replace(step, inputs={"x": step}),
        replace(step, inputs={"y": step}),
    ]
    assert len({step.key, *(other.key for other in others)}) == 6


def test_key_is_the_same_in_another_process() -> None:
    code = "import toys; print(toys.diamond().key)"
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    assert found.stdout.strip() == toys.diamond().key


def test_config_without_canonical_form_is_refused_at_once() -> None:
    with pytest.raises(AssayError) as caught:
        Step("a", 1, "m:f", {"path": [Path("x")]})
    assert caught.value.place == "step a: config.path[0]"


def test_inputs_come_before_what_uses_them() -> None:
    steps = in_order([toys.diamond(5)])
    place = {step.key: index for index, step in enumerate(steps)}
    assert len(steps) == 7
    assert all(place[u.key] < place[s.key] for s in steps for u in s.inputs.values())
