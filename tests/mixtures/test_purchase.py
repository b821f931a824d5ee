"""Money goes where it gains most, never beyond a doubling, and nowhere if it is not likely to pay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import AssayError
from assay.mixtures import Offer, cheapest, offers_of, plain, purchase, valued

OFFERS = st.lists(
    st.tuples(st.integers(20, 500), st.floats(-0.01, 0.05), st.floats(0.001, 0.01), st.floats(0.1, 5)),
    min_size=2, max_size=5,
)  # fmt: skip


def offers(rows: list[tuple[int, float, float, float]]) -> list[Offer]:
    return [Offer(f"p{i}", held, worth, sd, "buy", price) for i, (held, worth, sd, price) in enumerate(rows)]


@settings(max_examples=50, deadline=None)
@given(rows=OFFERS, budget=st.floats(50, 2000), seed=st.integers(0, 9))
def test_no_other_way_to_spend_gains_more(
    rows: list[tuple[int, float, float, float]], budget: float, seed: int
) -> None:
    given_ = offers(rows)
    found = purchase(given_, budget, smallest=0.005)
    held = {o.name: o for o in given_}
    assert found.cost <= budget + 1e-6 and all(row.samples <= held[row.name].held for row in found.rows)
    assert all(held[row.name].worth > 0 for row in found.rows)
    rng = np.random.default_rng(seed)
    # Rounding down leaves at most one sample of each part.
    lost = sum(max(o.worth, 0) * np.log2(1 + 1 / o.held) for o in given_)
    for share in rng.dirichlet(np.ones(len(rows)), 30):
        amounts = np.minimum(share * budget / [o.price for o in given_], [o.held for o in given_])
        assert valued(given_, np.floor(amounts), budget, smallest=0.005).gain <= found.gain + lost + 1e-9
    for way in ("equal", "proportional"):
        other = plain(given_, budget, way, {}, smallest=0.005)  # type: ignore[arg-type]
        assert other.cost <= budget + 1e-6 and other.gain <= found.gain + lost + 1e-9


def test_cheaper_and_better_parts_get_more_and_harmful_ones_nothing() -> None:
    three = offers([(400, 0.03, 0.002, 1.0), (400, 0.03, 0.002, 2.0), (400, -0.02, 0.002, 0.1)])
    found = purchase(three, 300, smallest=0.005)
    got = {row.name: row.samples for row in found.rows}
    assert got["p0"] > got.get("p1", 0) and "p2" not in got and found.advice == "get"
    assert found.low < found.gain < found.high and found.pays > 0.9


def test_it_says_stop_where_nothing_is_likely_to_pay() -> None:
    small = offers([(400, 0.004, 0.002, 1.0), (400, 0.003, 0.002, 1.0)])
    assert purchase(small, 100, smallest=0.005).advice == "stop"
    nothing = purchase(offers([(400, -0.01, 0.002, 1.0), (100, 0.0, 0.002, 1.0)]), 100, smallest=0.005)
    assert nothing.rows == () and nothing.advice == "stop" and nothing.cost == nothing.per_cost == 0
    # A gain of 0.01 is worth 1,000: the last sample still has to gain what it costs.
    worthy = purchase(small, 5000, smallest=0.005, worth=1000)
    assert worthy.advice == "get" and 0 < worthy.cost < 800, "no more is spent than pays"
    assert purchase(small, 5000, smallest=0.005, worth=5).advice == "stop"


def test_the_weakest_part_is_that_of_the_lowest_level() -> None:
    two = offers([(100, 0.01, 0.001, 1.0), (100, 0.02, 0.001, 1.0)])
    (row,) = plain(two, 50, "weakest", {"p0": 0.9, "p1": 0.2}, smallest=0.005).rows
    assert (row.name, row.samples) == ("p1", 50)


def test_prices_are_by_part_and_way() -> None:
    names, held = ("math", "code"), {"math": 10, "code": 20}
    value = np.array([0.01, 0.02])
    made = offers_of(names, held, value, value / 10, {"generate": 0.5, "math:annotate": 0.2, "code:buy": 3.0})
    each = [(o.name, o.way, o.price) for o in made]
    assert each == [
        ("math", "generate", 0.5), ("math", "annotate", 0.2), ("code", "generate", 0.5), ("code", "buy", 3.0),
    ]  # fmt: skip
    assert [(o.name, o.way) for o in cheapest(made)] == [("math", "annotate"), ("code", "generate")]
    only = offers_of(names, held, value, value / 10, {"code:buy": 3.0})
    assert [o.name for o in only] == ["code"]
    with pytest.raises(AssayError, match="no such part"):
        offers_of(names, held, value, value, {"poetry:buy": 1.0})
    with pytest.raises(AssayError, match="no part has a price"):
        offers_of(names, held, value, value, {})
    with pytest.raises(AssayError, match="above zero"):
        purchase(only, 0, smallest=0.005)


def test_ways_of_a_part_add_up_the_cheapest_first() -> None:
    """A way that runs out is followed by the next; a sample that counts half has to cost less than half."""
    names, held, value = ("math",), {"math": 100}, np.array([0.05])
    prices = {"generate": 0.3, "buy": 1.0, "annotate": 2.0}
    made = offers_of(
        names, held, value, value / 10, prices, counts={"generate": 0.5}, most={"math:generate": 60}
    )
    found = purchase(made, 1000, smallest=0.005)
    got = {row.way: row.samples for row in found.rows}
    assert got == {"generate": 60, "buy": 70}, "30 of a sample from 60, then what doubles the part"
    assert found.gain == pytest.approx(0.05) and sum(r.gain for r in found.rows) == pytest.approx(found.gain)
    dear = offers_of(names, held, value, value / 10, prices, counts={"generate": 0.2})
    assert {row.way for row in purchase(dear, 50, smallest=0.005).rows} == {"buy"}


def test_relabelling_repairs_what_is_wrong_and_no_more() -> None:
    names, held, value = ("math", "code"), {"math": 100, "code": 100}, np.array([0.05, 0.05])
    prices, wrong = {"relabel": 0.1, "buy": 1.0}, {"math": 0.4, "code": 0.01}
    made = offers_of(names, held, value, value / 10, prices, faulty=wrong)
    found = purchase(made, 60, smallest=0.005)
    got = {(row.name, row.way): row.samples for row in found.rows}
    assert got["math", "relabel"] == 100, "a third of a dollar repairs what a new sample costs three times"
    assert ("code", "relabel") not in got and got["code", "buy"] > 0
    for share in ({}, {"math": 0.4, "code": 1.0}):
        with pytest.raises(AssayError, match="relabelling repairs is not known"):
            offers_of(names, held, value, value, prices, faulty=share)
