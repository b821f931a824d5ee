"""What models cost: a dated list in the package, or the user's own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from assay.core import AssayError

_MILLION = 1e6
_TUNED = re.compile(r"((?:openai|openai-api/[^/]+)/ft:[^:]+)")
"""A tuned model without its owner, name and number: it has the price of all that were made from its base."""
_BY_TOGETHER = re.compile(r"together/[^/]+/(.+)-assay-[0-9a-f]+-")
"""Together's name of a tuned model: the owner, the base without its own, our suffix, a number."""
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")


@dataclass(frozen=True, slots=True)
class Price:
    """Money for a million tokens of prompt and of reply.

    Tokens that a provider reads from its cache are counted at the full price: a cap is kept from below.
    """

    input: float
    output: float
    currency: str = "USD"
    train: float | None = None
    """Money for a million tokens that are trained on, each pass counted; None where it is not known."""

    def of(self, tokens_in: int, tokens_out: int) -> float:
        """Return the money for so many tokens."""
        return (tokens_in * self.input + tokens_out * self.output) / _MILLION


def find_price(model: str, path: Path | None, *, local: bool) -> Price | None:
    """Return the price of ``model``: from the user's list, from the package's, 0 for a local one, else None.

    A tuned model (``openai/ft:BASE:…``) has the price of ``openai/ft:BASE``, which also says what training
    costs. A model named with a date or ``-latest`` that is not listed has the price of the model without
    it.
    """
    own = {} if path is None else _read(path.read_text("utf-8"), str(path))
    if (found := _look(own, model)) is not None:
        return found
    if local:
        return Price(0.0, 0.0, train=0.0)
    packaged = resources.files("assay.llm").joinpath("prices.toml").read_text("utf-8")
    return _look(_read(packaged, "prices.toml"), model)


def _look(prices: Mapping[str, Price], model: str) -> Price | None:
    tuned, together = _TUNED.match(model), _BY_TOGETHER.match(model)
    name = model if tuned is None else tuned[1]
    if together is not None:
        name = next((own for own in prices if own.endswith(f"/ft:{together[1]}")), model)
    return prices.get(model) or prices.get(name) or prices.get(_DATE.sub("", name))


def _read(text: str, place: str) -> dict[str, Price]:
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AssayError(f"not a price list: {error}", place=place) from None
    currency = parsed.get("currency", "USD")
    rows = parsed.get("price", [])
    if not isinstance(currency, str) or not isinstance(rows, list):
        raise _wrong(place, parsed)
    return dict(_row(row, currency, f"{place}: price[{i}]") for i, row in enumerate(rows))


def _row(row: Any, currency: str, place: str) -> tuple[str, Price]:
    if not isinstance(row, dict) or not isinstance(row.get("model"), str):
        raise _wrong(place, row)
    read, written = (_amount(row.get(name), row, place) for name in ("input", "output"))
    train = _amount(row["train"], row, place) if "train" in row else None
    return row["model"], Price(read, written, currency, train)


def _amount(amount: Any, row: Any, place: str) -> float:
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < float("inf"):
        raise _wrong(place, row)
    return float(amount)


def _wrong(place: str, value: object) -> AssayError:
    return AssayError(
        "not a price",
        place=place,
        value=value,
        expected="currency, and [[price]] with model, input, output, or train too (per million tokens)",
    )
