"""The command ``assay``, made from the public catalogue."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Group

from assay._catalogue import CATALOGUE, GROUPS, STAGES
from assay._command import command
from assay._version import __version__
from assay.core import AssayError, as_assay_error, stop_message, stop_status, stoppable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HELP = """Find out how much instruction data a model needs, which samples to choose, and what more would gain.

Start with `assay demo`. Every command takes `--json` (print the result as JSON on standard output) and
`--quiet` (show no progress).
"""
EXITS = """Exit codes: 0 success; 1 an error, with how to fix it; 2 unknown or invalid command or option;
130, 143 or 129 stopped by Ctrl-C, SIGTERM or SIGHUP (finished work is kept).
"""
_GLOBAL = ("--json", "--quiet")
_KEPT = {
    True: "finished work is kept; run the same command to continue",
    False: "files appear whole or not at all; run the same command again",
}


def build(wanted: str | None = None, *, everything: bool = False) -> App:
    """Return the command line; only the function of the command ``wanted`` is imported, or ``everything``."""
    app = App(name="assay", help=HELP, help_epilogue=EXITS, version=__version__, result_action="return_value")
    stages = {name: Group(name.capitalize(), sort_key=place) for place, name in enumerate(STAGES)}
    made: dict[str, App] = {}
    for option in ("--help", "--version"):
        app[option].group = stages[STAGES[-1]]
    for place, (name, entry) in enumerate(CATALOGUE.items()):
        first, _, second = name.partition(" ")
        if first not in made:
            says = GROUPS.get(first) or CATALOGUE[first].says
            made[first] = App(name=first, help=says, group=stages[entry.stage], sort_key=place)
            app.command(made[first])
        parent = made[first]
        if second:
            own = App(name=second, help=None if name == wanted else entry.says, sort_key=place)
            parent.command(own)
        else:
            own = parent
        if everything or name == wanted:
            own.help = None  # its docstring's
            own.default(command(entry.load()))
    return app


def completion(shell: Literal["bash", "zsh", "fish"] = "bash") -> str:
    """Print the script that completes commands and options in a shell.

    Example: `assay completion bash >> ~/.bash_completion`, `assay completion fish > assay.fish`

        >>> "assay" in assay.completion("bash")
        True

    Parameters
    ----------
    shell
        The shell it is for.
    """
    return build(everything=True).generate_completion(shell=shell)


def chosen(tokens: Sequence[str]) -> str | None:
    """Return the command that the tokens begin with, if any."""
    pair = " ".join(tokens[:2])
    return pair if pair in CATALOGUE else next((t for t in tokens[:1] if t in CATALOGUE), None)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit, with the codes of :data:`EXITS`."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    _open_streams()
    as_json, quiet = (option in tokens for option in _GLOBAL)
    tokens = [token for token in tokens if token not in _GLOBAL]
    name = chosen(tokens)
    try:
        with stoppable(), _apart(as_json), _progress(quiet=quiet or as_json, known=name is not None):
            result = build(name)(tokens, exit_on_error=False, print_error=True)
        show(result, as_json=as_json)
    except AssayError as error:
        _fail(str(error), as_json=as_json, error=error)
    except CycloptsError:
        raise SystemExit(2) from None
    except KeyboardInterrupt as stop:
        resumes = name is not None and CATALOGUE[name].resumes
        print("\n" + stop_message(stop, _KEPT[resumes]), file=sys.stderr)
        raise SystemExit(stop_status(stop)) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except Exception as error:
        known = as_assay_error(error, f"assay {name or ''}".strip())
        if known is None:
            raise
        _fail(str(known), as_json=as_json, error=known)
    raise SystemExit(0)


def _open_streams() -> None:
    """Give a command that was started with its standard streams closed ones that lead nowhere.

    Else the first files that it opens would take their numbers, and get what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            found = os.open(os.devnull, os.O_RDWR)
            if found != number:
                os.dup2(found, number)
                os.close(found)
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: SIM115, PTH123


@contextmanager
def _progress(*, quiet: bool, known: bool) -> Iterator[None]:
    """Show no progress where that is asked for; nothing is imported for help alone."""
    if not (quiet and known):
        yield
        return
    from assay.plan import quiet as silent

    with silent():
        yield


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
    """Print a command's result for people, or as JSON; what is JSON by itself, such as a schema, as it is."""
    if result is None:
        return
    if as_json or isinstance(result, dict):
        import json

        from assay.view import plain_json

        print(json.dumps(plain_json(result), ensure_ascii=False, indent=1), flush=True)
        return
    from rich.console import Console

    from assay.view import print_value

    print_value(result, Console())


def _fail(text: str, *, as_json: bool, error: AssayError) -> NoReturn:
    if as_json:
        import json

        parts = ("problem", "place", "value", "expected", "hint")
        with suppress(OSError):  # standard output may be what failed
            print(
                json.dumps({"error": {p: getattr(error, p) for p in parts}}, ensure_ascii=False, default=repr)
            )
            sys.stdout.flush()
    print(f"error: {text}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
