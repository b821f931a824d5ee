"""Steps: what is to be computed, from what, and the key that names the result before it exists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core import digest, to_json

Advance = Callable[[float, float, str], None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a step will take, as far as is known; never part of its key.

    A plain guess: :mod:`assay.plan` learns from the steps of one ``kind`` (words, what matters most first)
    what a guess is worth.  ``parts``: the seconds of it by sort of work (reading, writing, steps) where there
    are several, as each has a pace of its own.  ``paid``: it costs money, ``money`` at most in ``currency``,
    or None where no price is known.
    """

    seconds: float | None = None
    tokens: float | None = None
    bytes: float | None = None
    money: float | None = None
    currency: str = "USD"
    paid: bool = False
    kind: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def work(self) -> Mapping[str, float]:
        """Return the guess by sort of work; one sort without a name where there are no others."""
        return self.parts or {"": self.seconds or 0.0}


@dataclass(frozen=True)
class Step:
    """One unit of work.  Identity is name, version, config and the keys of the inputs, nothing else.

    ``call`` (``package.module:function``) says where it is implemented; ``where`` holds paths and devices;
    ``label`` is for people.  Raises :class:`AssayError` at construction for a config value without a
    canonical form.
    """

    name: str
    version: int
    call: str
    config: Mapping[str, Any]
    inputs: Mapping[str, Step] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    estimate: Estimate = field(default_factory=Estimate)

    def __post_init__(self) -> None:
        """Refuse what cannot be hashed, where it is written."""
        to_json(self.config, f"step {self.name}: config")

    @cached_property
    def key(self) -> str:
        """SHA-256 (64 hex digits) of the step's identity, computable without running anything."""
        inputs = {role: step.key for role, step in self.inputs.items()}
        return digest([self.name, self.version, self.config, inputs])

    def payload(self) -> dict[str, Any]:
        """Return all that a worker needs: plain JSON data."""
        return {
            "key": self.key,
            "name": self.name,
            "version": self.version,
            "call": self.call,
            "config": to_json(self.config),
            "inputs": {role: step.key for role, step in self.inputs.items()},
            "where": dict(self.where),
            "label": self.label,
            "estimate": asdict(self.estimate),
        }


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step's function gets.

    ``out`` is the work folder: it may hold files of an earlier, killed attempt to resume from.  What lies
    under ``out/scratch`` or is named ``*.partial`` is dropped at commit.  A step that counts ``tokens`` or
    ``money`` puts them into ``used``.
    """

    config: Mapping[str, Any]
    inputs: Mapping[str, Path]
    where: Mapping[str, Any]
    out: Path
    progress: Advance
    used: dict[str, float] = field(default_factory=dict)


def in_order(targets: Iterable[Step]) -> list[Step]:
    """Return the targets and all they need, each once, inputs before what uses them."""
    found: dict[str, Step] = {}
    stack = [(step, False) for step in reversed(list(targets))]
    while stack:
        step, expanded = stack.pop()
        if step.key in found:
            continue
        if expanded:
            found[step.key] = step
        else:
            stack.append((step, True))
            stack += [(upstream, False) for upstream in step.inputs.values()]
    return list(found.values())
