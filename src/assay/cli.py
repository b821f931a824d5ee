"""The command ``assay``, made from the signatures of :mod:`assay.verbs`."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn

from cyclopts import App, CycloptsError

from assay import __version__, verbs
from assay.core import AssayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HELP = """How much instruction data does a model need, which of it, and what would the next thousand buy?

Start with `assay demo`. Every command takes `--json` (print the result as JSON on standard output) and
`--quiet` (no progress).
"""

_GROUPS: dict[str, str | None] = {
    "study": "Run, plan and report studies.",
    "data": "Inspect, convert and look into data sets.",
    "evalset": "Build an evaluation set: split off a pool, tell types, choose a size.",
    "annotate": None,
    "judge": None,
    "rule": "Fit a quality rule on your own fine-tuning runs, and try it.",
    "curve": None,
    "vocabulary": "Add tokens to a base model.",
}


def build() -> App:
    """Return the command line: one command for each verb, groups for verbs of two words."""
    app = App(name="assay", help=HELP, version=__version__, result_action="return_value")
    groups = {name: App(name=name, help=text) for name, text in _GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for name, verb in verbs.VERBS.items():
        group_name, _, own = name.rpartition(" ")
        if own in groups:
            groups[own].default(_without_return(verb))
        else:
            (groups[group_name] if group_name else app).command(_without_return(verb), name=own)
    return app


def _without_return(verb: Callable[..., Any]) -> FunctionType:
    """Copy a verb without its return annotation: result types live in rooms that are slow to import."""
    assert isinstance(verb, FunctionType)  # noqa: S101 - verbs are plain functions
    copy = FunctionType(verb.__code__, verb.__globals__, verb.__name__, verb.__defaults__)
    copy.__kwdefaults__, copy.__doc__ = verb.__kwdefaults__, verb.__doc__
    copy.__annotations__ = {n: hint for n, hint in verb.__annotations__.items() if n != "return"}
    return copy


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: 0 done, 1 an error the user can mend, 130 interrupted."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    as_json, quiet = "--json" in tokens, "--quiet" in tokens
    tokens = [t for t in tokens if t not in ("--json", "--quiet")]
    verbs.progress.quiet = quiet or as_json
    try:
        with _apart(as_json):
            result = build()(tokens, exit_on_error=False, print_error=True)
        show(result, as_json=as_json)
    except AssayError as error:
        _fail(str(error), as_json=as_json, error=error)
    except CycloptsError:
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("\ninterrupted: nothing finished is lost; run the same command to go on", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    raise SystemExit(0)


@contextmanager
def _apart(as_json: bool) -> Iterator[None]:
    """Send what libraries and workers print to standard error, where standard output is to be JSON alone."""
    if not as_json:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def show(result: Any, *, as_json: bool) -> None:
    """Print a verb's result for people, or as JSON."""
    if result is None:
        return
    if as_json:
        import json

        from assay.core import to_json

        print(json.dumps(to_json(result), ensure_ascii=False, indent=1))
        return
    from rich.console import Console

    from assay.view import print_value

    print_value(result, Console())


def _fail(text: str, *, as_json: bool, error: AssayError) -> NoReturn:
    if as_json:
        import json

        parts = ("problem", "place", "value", "expected", "hint")
        print(json.dumps({"error": {p: getattr(error, p) for p in parts}}, ensure_ascii=False, default=repr))
    print(f"error: {text}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
