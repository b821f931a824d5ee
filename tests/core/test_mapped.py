"""Values of a pool in the order of the items, few under way, killed workers replaced."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from assay.core import AssayError, Inline, Processes, mapped


def double(number: int) -> int:
    return 2 * number


def die_once(folder: str, number: int) -> int:
    mark = Path(folder, str(number))
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_items_are_taken_as_results_are() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    with Processes(2, forked=True) as pool:
        for place, value in enumerate(mapped(pool, double, items())):
            assert value == 2 * place and len(taken) <= place + 4
    assert list(mapped(Inline(), double, range(5))) == [0, 2, 4, 6, 8]
    assert list(mapped(Inline(), double, [])) == []


def test_what_a_killed_worker_had_is_done_again(tmp_path: Path) -> None:
    with Processes(2, forked=True) as pool:
        assert list(mapped(pool, partial(die_once, str(tmp_path)), range(8))) == list(range(8))


def test_a_part_that_kills_its_worker_again_and_again_is_an_error() -> None:
    with Processes(1, forked=True) as pool, pytest.raises(AssayError, match="killed 3 times"):
        list(mapped(pool, die, range(3)))
