"""Numbers as people read them: real minus signs, thousands separators, short sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from unicodedata import bidirectional

MINUS = "\u2212"
DASH = "–"

KEY_DIGITS = 12
"""How much of a run key is shown; the whole key is in its title."""


def integer(value: float) -> str:
    """Return a whole number with thousands separators: ``12,500``."""
    return f"{round(value):,}".replace("-", MINUS)


def about(value: float, low: float | None = None, high: float | None = None) -> str:
    """Return a size that is not known exactly: one digit where its range is wide, else two.

    ``6,182`` is ``6,200``, between 4,500 and 9,000 it is ``6,000``; no size is rounded out of its range.
    """
    rough = _rounded(value, 1)
    if low is not None and high is not None and high >= 1.6 * low and low <= rough <= high:
        return integer(rough)
    return integer(_rounded(value, 2))


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")


def short(value: float) -> str:
    """Return a size in few characters: ``100``, ``1k``, ``2.5k``, ``10M``."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def number(value: float) -> str:
    """Return a measured value with three decimals, fewer where it is large."""
    digits = 3 if abs(value) < 100 else 1
    return f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float) -> str:
    """Return a difference with its sign: ``+0.021``, ``−0.003``, ``0.000``."""
    return _signed(value, 3)


def interval(low: float, high: float) -> str:
    """Return an interval of differences: ``[+0.008, +0.035]``."""
    return f"[{signed(low)}, {signed(high)}]"


def probability(value: float) -> str:
    """Return a probability with two decimals; what rounds to 0 or 1 is shown as a bound."""
    if value > 0.99:
        return "> 0.99"
    return "< 0.01" if value < 0.01 else f"{value:.2f}"


def chance(value: float) -> str:
    """Return a probability in per cent; what rounds to 0 or 100 is shown as a bound."""
    if value > 0.99:
        return "> 99 %"
    return "< 1 %" if value < 0.01 else percent(value, 1)


def percent(part: float, whole: float) -> str:
    """Return ``part`` as a percentage of ``whole``, or a dash where there is no whole.

    What is not nothing is never ``0 %``, and what is not all never ``100 %``.
    """
    if whole <= 0:
        return DASH
    share = 100 * part / whole
    if 0 < share < 0.5:
        return "< 1 %"
    return "> 99 %" if 99.5 <= share < 100 else f"{share:.0f} %"


def file_size(n_bytes: float) -> str:
    """Return bytes in the unit that suits them, by thousands."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= limit:
            return f"{n_bytes / limit:.3g} {unit}"
    return f"{n_bytes:.0f} B"


def together(*values: float) -> tuple[str, ...]:
    """Return differences that are read together with the same decimals: ``+0.031``, ``+0.001``, ``+0.050``.

    Three decimals; where all of them are small, as many as show two digits of the largest.
    """
    digits = _decimals(max(map(abs, values)))
    return tuple(_signed(value, digits) for value in values)


def _decimals(largest: float) -> int:
    return 3 if largest >= 0.01 else min(1 - math.floor(math.log10(max(largest, 1e-6))), 6)


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def small(value: float) -> str:
    """Return a difference alone, with three decimals, more where it is small: ``+0.00021``."""
    return together(value)[0]


def measured(value: float) -> str:
    """Return a figure whose unit is not known, to three digits: ``0.566``, ``12.3``, ``1,235``."""
    return integer(value) if abs(value) >= 100 else f"{value:.3g}".replace("-", MINUS)


_FORMS: Mapping[str, Callable[[float], str]] = {
    "percent": lambda value: percent(value, 1),
    "size": file_size,
    "short": short,
    "chance": chance,
    ",": integer,
    "about": about,
    "p": probability,
    "value": number,
    "measured": measured,
    "gain": signed,
    "small": small,
    "speed": lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}",
}


def figure(value: float | None, form: str) -> str:
    """Return a number in a form by name or in Python's format specification, or a dash for None."""
    if value is None:
        return DASH
    named = _FORMS.get(form)
    if named:
        return named(value)
    text = f"{value:{form}}"
    zero = form.startswith("+") and not any(c in "123456789" for c in text)
    return (text.lstrip("+-") if zero else text).replace("-", MINUS).replace("%", " %")


def duration(seconds: float, words: Callable[..., str]) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 90:
        return words("unit.seconds", n=f"{seconds:.2g}")
    if seconds < 5400:
        return words("unit.minutes", n=f"{seconds / 60:.2g}")
    return words("unit.hours", n=f"{seconds / 3600:,.1f}")


def short_key(key: str) -> str:
    """Return the part of a run key that is shown, or a dash for none."""
    return key[:KEY_DIGITS] or DASH


def plain(value: object) -> str:
    """Return a setting's value as text: numbers without noise, a dash for None."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return integer(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def clean(text: str) -> str:
    """Return text that every encoder takes: lone surrogates and NULs become U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")


_TURNS = frozenset(("R", "AL", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"))


def isolated(name: str) -> str:
    """Return a name whose direction does not reach beyond it (Unicode isolates); others as they are."""
    if not any(bidirectional(c) in _TURNS for c in name):
        return name
    return f"\u2068{name}\u2069"


def rate(value: float) -> str:
    """Return a learning rate with two digits: ``1.5e-3``."""
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"
