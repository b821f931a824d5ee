"""One error type: it gives the place, the bad value, what was expected and what to do next."""

from __future__ import annotations

import reprlib

_SHOWN = 200


_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother = 5, 400, 400
_BRIEF.maxdict = _BRIEF.maxlist = _BRIEF.maxtuple = _BRIEF.maxset = 30


def _repr(value: object) -> str:
    """Return how a value is written; cut where it is large, as an alias in YAML can make it."""
    try:
        return repr(value) if isinstance(value, str | int | float) else _BRIEF.repr(value)
    except ValueError:  # whole numbers of more than 4,300 digits
        return f"({type(value).__name__})"


DIVERGED = "the training loss is not a number"
"""The problem of a training that diverged: what tries rates takes it for a finding."""


class AssayError(Exception):
    """An error that a user can fix.

    ``place`` is a file and line, or the path of a config key (``ladder.rungs[2]``); ``value`` is the bad
    value (shortened when long); ``expected`` says what would have been right; ``hint`` what to do next.
    """

    def __init__(
        self,
        problem: str,
        *,
        place: str | None = None,
        value: object = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        """Keep the parts; the message joins them, one a line."""
        self.problem = problem
        self.place = place
        self.value = value
        self.expected = expected
        self.hint = hint
        super().__init__(problem)

    def __str__(self) -> str:
        """Return the whole message, a part a line."""
        lines = [self.problem if self.place is None else f"{self.place}: {self.problem}"]
        if self.value is not None:
            shown = _repr(self.value)
            lines.append(f"  got:      {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'}")
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.hint is not None:
            lines.append(f"  try:      {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Cross process borders with all parts."""
        return (
            _rebuild,
            (type(self), self.problem, self.place, _plain(self.value), self.expected, self.hint),
        )


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else _repr(value)


def _rebuild(
    kind: type[AssayError],
    problem: str,
    place: str | None,
    value: object,
    expected: str | None,
    hint: str | None,
) -> AssayError:
    return kind(problem, place=place, value=value, expected=expected, hint=hint)
