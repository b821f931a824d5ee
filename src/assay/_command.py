"""Make a command from a function: the same names and defaults, with sets of options laid flat."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter
from docstring_parser import parse_from_object

from assay.core import AssayError, Without, in_words

_EMPTY = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """A parameter of a function that is a set of options: the dataclass, its default, the fields left out."""

    kind: Any
    default: Any
    without: tuple[str, ...]

    def fields(self) -> Iterator[tuple[str, Any, Any]]:
        """Yield name, type and default of each field that is an option of the command."""
        hints = typing.get_type_hints(self.kind, include_extras=True)
        for field in dataclasses.fields(self.kind):
            if field.name not in self.without:
                hint, default = hints[field.name], self._default(field)
                yield field.name, hint | None if default is None else hint, default

    def _default(self, field: dataclasses.Field[Any]) -> Any:
        if dataclasses.is_dataclass(self.default):
            return getattr(self.default, field.name)
        missing = field.default is dataclasses.MISSING
        if missing:
            return _EMPTY if self.default is _EMPTY else None
        return field.default

    def gather(self, given: Mapping[str, Any]) -> Any:
        """Return the options: the function's default with what was given laid over it."""
        if dataclasses.is_dataclass(self.default):
            return dataclasses.replace(self.default, **given)  # type: ignore[type-var]
        unset = all(given.get(name, default) == default for name, _, default in self.fields())
        if self.default is None and unset:
            return None
        needed = [f.name for f in dataclasses.fields(self.kind) if f.default is dataclasses.MISSING]
        missing = [f"--{name.replace('_', '-')}" for name in needed if given.get(name) is None]
        if missing:
            raise AssayError("these options need another one", place=", ".join(missing), expected="a value")
        return self.kind(**given)


def options_of(function: Callable[..., Any]) -> dict[str, Options]:
    """Return the parameters of a function that are sets of options."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        hint = _hints(function)[name]
        without: tuple[str, ...] = ()
        if typing.get_origin(hint) is Annotated:
            without = next((mark.fields for mark in hint.__metadata__ if isinstance(mark, Without)), ())
            hint = typing.get_args(hint)[0]
        kinds = [k for k in (typing.get_args(hint) or (hint,)) if k is not types.NoneType]
        if len(kinds) == 1 and dataclasses.is_dataclass(kinds[0]):
            found[name] = Options(kinds[0], parameter.default, without)
    return found


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for the command line: options laid flat, types as the command line has them."""
    options, hints = options_of(function), _hints(function)
    described = _described(function)
    flat: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in options:
            hint = _option(hints[name], parameter.default, described.get(name))
            flat.append(parameter.replace(annotation=hint))
    own = {parameter.name for parameter in flat}
    for wanted in options.values():
        told = _described(wanted.kind)
        flat += [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default,
                annotation=_option(hint, default, told.get(name)),
            )
            for name, hint, default in wanted.fields()
            if name not in own
        ]  # fmt: skip

    def run(*positional: Any, **given: Any) -> Any:
        for name, wanted in options.items():
            fields = [field for field, _, _ in wanted.fields() if field not in own]
            given[name] = wanted.gather({field: given.pop(field) for field in fields if field in given})
        return function(*positional, **given)

    run.__name__, run.__doc__ = function.__name__, _told(function)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    run.__signature__ = inspect.Signature(_ordered(flat))  # type: ignore[attr-defined]
    return run


def _option(hint: Any, default: Any, told: str | None) -> Any:
    """Return the annotation of an option: its type, its help, and its default where there is one to show."""
    says = re.sub(r"(; in|[.] In|, or in) Python also[^.]*", "", told or "")
    shown = default not in ((), "", None, _EMPTY)
    return Annotated[in_words(hint), Parameter(help=says, negative_iterable=(), show_default=shown)]


def _ordered(flat: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    """Return parameters so that after one that takes many words all others are options by name."""
    found: list[inspect.Parameter] = []
    many = False
    for parameter in flat:
        if many and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            parameter = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        many = many or typing.get_origin(typing.get_args(parameter.annotation)[0]) in (list, Sequence)
        found.append(parameter)
    return sorted(found, key=lambda p: p.kind)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the hints of the parameters; that of the result may be for type checkers alone."""
    names = {name: hint for name, hint in function.__annotations__.items() if name != "return"}
    holder = types.FunctionType((lambda: None).__code__, getattr(function, "__globals__", {}))
    holder.__annotations__ = names
    return typing.get_type_hints(holder, include_extras=True)


def _described(thing: Any) -> dict[str, str]:
    """Return what the docstrings of a function, or of a dataclass and its bases, say of each parameter."""
    found: dict[str, str] = {}
    for kind in reversed(thing.__mro__[:-1]) if isinstance(thing, type) else (thing,):
        found |= {p.arg_name: " ".join((p.description or "").split()) for p in parse_from_object(kind).params}
    return found


def _told(function: Callable[..., Any]) -> str:
    """Return a docstring without its Python examples and its parameters, which stand beside their options."""
    text = inspect.getdoc(function) or ""
    text = text.split("\nParameters\n")[0].split("\nRaises\n")[0]
    blocks = [b for b in text.split("\n\n") if not b.lstrip().startswith((">>>", "In Python"))]
    return "\n\n".join(blocks)
