"""Plug-ins: objects that other packages offer by entry points, listed at once and loaded when asked for.

Listing never imports anything and never fails.  A plug-in that cannot be loaded, is not what its group
asks for, or bears a name that is taken, gives one error when it is asked for by name; it names the
distribution and the entry point.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from assay.core._canonical import file_digest
from assay.core._errors import AssayError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of an installed package: its name, ``module:attribute``, and where it is from."""

    name: str
    value: str
    distribution: str
    version: str
    point: EntryPoint

    @property
    def place(self) -> str:
        """Return how errors name it."""
        return f"entry point {self.name} = {self.value} of {self.distribution} {self.version}"


class Plugins(Mapping[str, T]):
    """The plug-ins of one entry-point group: name to object, loaded and checked when it is asked for.

    Parameters
    ----------
    group
        The entry-point group, such as ``assay.judges``.
    what
        What an entry is called in errors, such as ``judge``.
    kind
        A class that an entry is an instance of, or a protocol whose attributes it has; where the protocol
        can be called, an entry can be called in the same way.
    own
        The names of our own implementations, which no plug-in may bear.
    also
        Returns what else is wrong with an object of that kind, or None.
    """

    def __init__(
        self,
        group: str,
        what: str,
        kind: Any,
        own: Collection[str] = (),
        also: Callable[[T], str | None] = lambda found: None,
    ) -> None:
        """Look at nothing yet."""
        self.group, self.what, self.kind, self.own, self.also = group, what, kind, tuple(own), also
        self._loaded: dict[Plugin, T] = {}

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the installed plug-ins in alphabetical order."""
        return iter(sorted(self._found()))

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self._found())

    def __contains__(self, name: object) -> bool:
        """Say whether a plug-in has that name; nothing is loaded."""
        return name in self._found()

    def __getitem__(self, name: str) -> T:
        """Return the plug-in of that name, loaded and checked.

        Raises ``KeyError`` where there is none, and :class:`AssayError` where it cannot be used.
        """
        entry = self.entry(name)
        if entry not in self._loaded:
            self._loaded[entry] = self._load(entry)
        return self._loaded[entry]

    @property
    def names(self) -> tuple[str, ...]:
        """All names that can be asked for: our own, then those of plug-ins."""
        return (*self.own, *(name for name in self if name not in self.own))

    def entry(self, name: str) -> Plugin:
        """Return where a plug-in is from; raises ``KeyError`` where there is none of that name."""
        first, *others = self._found()[name]
        if others:
            self._refuse(
                first,
                "two packages offer it under one name",
                f"one of {', '.join(p.distribution for p in (first, *others))}",
            )
        if name in self.own:
            self._refuse(first, f"the name is taken by a {self.what} of Assay", "a name of its own")
        return first

    def identity(self, name: str) -> str:
        """Return what changes whenever a plug-in may have changed, or "" for a name that is not a plug-in's.

        It holds the distribution with its version, the object's own ``version``, and a digest of the source
        files beside the entry's module, so that an edited plug-in is not taken for the one that ran before.
        """
        if name not in self:
            return ""
        found, entry = self[name], self.entry(name)
        own = getattr(found, "version", None)
        version = "" if own is None else f"version {own}, "
        return f"{entry.distribution} {entry.version} ({version}code {_code(entry.point.module)})"

    def unknown(self, name: str, place: str | None = None, more: str = "") -> AssayError:
        """Return the error for a name that nothing has; ``more`` says what else would be right."""
        return AssayError(
            f"no such {self.what}",
            place=place,
            value=name,
            expected="one of " + ", ".join(self.names) + more,
            hint=f"packages add more by entry points of the group {self.group} (docs/plugins.md)",
        )

    def _found(self) -> Mapping[str, tuple[Plugin, ...]]:
        # A changed path shows other packages: tests and notebooks add folders to it.
        return _listed(self.group, tuple(sys.path))

    def _load(self, entry: Plugin) -> T:
        try:
            found = entry.point.load()
        except Exception as error:
            reason = f"it cannot be imported ({type(error).__name__}: {error})"
            self._refuse(entry, reason, "an entry that can be imported", error)
        misfit = _misfit(found, self.kind, entry.name) or self.also(found)
        if misfit is not None:
            self._refuse(entry, misfit, _wanted(self.kind))
        loaded: T = found
        return loaded

    def _refuse(
        self, entry: Plugin, reason: str, expected: str, cause: BaseException | None = None
    ) -> NoReturn:
        raise AssayError(
            f"the {self.what} {entry.name!r} cannot be used: {reason}",
            place=entry.place,
            expected=expected,
            hint=f"update or uninstall {entry.distribution}; docs/plugins.md says what a {self.what} is",
        ) from cause


@lru_cache(maxsize=64)
def _listed(group: str, path: tuple[str, ...]) -> Mapping[str, tuple[Plugin, ...]]:
    """Return the entry points of a group by name; ``path`` is the path that modules are found by."""
    found: dict[str, list[Plugin]] = {}
    for point in _points(group):
        found.setdefault(point.name, []).append(Plugin(point.name, point.value, *_origin(point), point))
    return {name: tuple(same) for name, same in found.items()}


def _points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group; a package whose own list cannot be read hides no other's."""
    try:
        return list(entry_points(group=group))
    except Exception:
        found: list[EntryPoint] = []
        for package in distributions():
            with suppress(Exception):
                found += package.entry_points.select(group=group)
        return found


def _origin(point: EntryPoint) -> tuple[str, str]:
    """Return the name and version of the distribution that an entry point is from."""
    try:
        assert point.dist is not None  # noqa: S101 - those of entry_points() have one
        return str(point.dist.metadata["Name"]), str(point.dist.version)
    except Exception:
        return "a package without metadata", "(no version)"


def _public(kind: Any) -> list[str]:
    """Return the attributes that a protocol asks for, its call apart."""
    fields = dict.fromkeys(getattr(kind, "__annotations__", {}))
    methods = dict.fromkeys(name for name, part in vars(kind).items() if inspect.isfunction(part))
    return [name for name in {**fields, **methods} if not name.startswith("_")]


def _misfit(found: Any, kind: Any, name: str) -> str | None:
    """Return why an object is not of a kind, or None."""
    if not getattr(kind, "_is_protocol", False):
        if not isinstance(found, kind):
            return f"it is a {type(found).__name__}, not {_a(kind)}"
    elif isinstance(found, type) and _public(kind):
        return f"it is the class {found.__name__}, not an object of it"
    else:
        missing = [part for part in _public(kind) if not hasattr(found, part)]
        if missing:
            return f"it has no {', no '.join(missing)}"
        if "__call__" in vars(kind) and not _callable_as(found, kind):
            return f"it cannot be called as {_signature(kind)}"
    if getattr(found, "name", name) != name:
        return f"its name is {found.name!r}, that of its entry point {name!r}"
    return None


def _callable_as(found: Any, kind: Any) -> bool:
    """Say whether an object takes the arguments that a protocol's call takes."""
    if not callable(found):
        return False
    try:
        parameters = list(inspect.signature(kind.__call__).parameters.values())[1:]
        named = {p.name: None for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        inspect.signature(found).bind(*[None] * (len(parameters) - len(named)), **named)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def _signature(kind: Any) -> str:
    signature = inspect.signature(kind.__call__)
    parameters = [p.replace(annotation=p.empty) for p in list(signature.parameters.values())[1:]]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


def _a(kind: Any) -> str:
    return f"an {kind.__name__}" if kind.__name__[0] in "AEIOU" else f"a {kind.__name__}"


def _wanted(kind: Any) -> str:
    """Return what a group asks for, in words."""
    if not getattr(kind, "_is_protocol", False):
        return f"{_a(kind)} of {kind.__module__.rpartition('._')[0] or kind.__module__}"
    parts = _public(kind)
    calls = [f"a call {_signature(kind)}"] if "__call__" in vars(kind) else []
    return "an object with " + " and ".join([*([", ".join(parts)] if parts else []), *calls])


@lru_cache(maxsize=256)
def _code(module: str) -> str:
    """Return a digest [16 hex digits] of the source files of the package that a loaded module is in."""
    top = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None)
    place = top or getattr(sys.modules[module], "__file__", None)
    if place is None:
        return "none"
    path = Path(place)
    alone = path.stem != "__init__" and "." not in module
    found = hashlib.sha256()
    for file in [path] if alone else sorted(path.parent.rglob("*.py")):
        found.update(f"{file.relative_to(path.parent).as_posix()} {file_digest(file)}\n".encode())
    return found.hexdigest()[:16]
