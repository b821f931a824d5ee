"""A conversation in the terminal, with one model or with two side by side."""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay import data
from assay.core import AssayError
from assay.serving._models import printable
from assay.serving._talk import Talk

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from assay.model import ChatModel, Decoding, Piece

_HELP = """\
/retry             answer the last question again
/undo              take the last question and its answer back
/system [TEXT]     tell the model who it is; without TEXT nothing
/temperature [T]   0 takes the likeliest token; higher is more varied
/save FILE.jsonl   write the conversation as samples
/quit              end (also Ctrl-D); Ctrl-C stops an answer
//TEXT             ask something that begins with /"""
_CUT, _STOPPED = " […]", " [stopped]"


@dataclass(frozen=True, slots=True)
class Voice:
    """A model by the name that people know it by."""

    label: str
    model: ChatModel


@dataclass(frozen=True, slots=True)
class Room:
    """A conversation under way: each voice has its own, as their answers differ."""

    voices: tuple[Voice, ...]
    talks: tuple[Talk, ...]
    decoding: Decoding
    answered: int = 0
    """Answers given so far; each takes the next seed, so that a chat can be had again."""

    def each(self, change: Callable[[Talk], Talk]) -> Room:
        """Return the room with every conversation changed."""
        return replace(self, talks=tuple(change(talk) for talk in self.talks))


def answer_piped(voices: Sequence[Voice], question: str, system: str | None, decoding: Decoding) -> None:
    """Answer one question on standard output, as plain text that grows."""
    talk = Talk(system=system).ask(question)
    for voice in voices:
        if len(voices) > 1:
            print(f"## {printable(voice.label)}")
        for piece in _pieces(voice, talk, decoding, _warn):
            print(printable(piece.text), end="", flush=True)
        print(flush=True)


def converse(voices: Sequence[Voice], system: str | None, decoding: Decoding, console: Console) -> None:
    """Talk until the person at the terminal quits."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() line editing
    names = " and ".join(voice.label for voice in voices)
    console.print(f"{names}. /help lists commands, Ctrl-C stops an answer, Ctrl-D ends.", markup=False)
    room: Room | None = Room(tuple(voices), (Talk(system=system),) * len(voices), decoding)
    while room is not None:
        try:
            line = input("you> ")
        except KeyboardInterrupt:
            print()
            continue
        except EOFError:
            print()
            return
        try:
            room = _take(room, line.strip(), console)
        except AssayError as error:
            console.print(str(error), style="red", markup=False, highlight=False)


def _take(room: Room, line: str, console: Console) -> Room | None:
    """Return the room after one line, None where the person quits."""
    if not line:
        return room
    if line.startswith("/") and not line.startswith("//"):
        name, _, argument = line[1:].partition(" ")
        return _command(room, name, argument.strip(), console)
    text = line.removeprefix("/") if line.startswith("//") else line
    return _answer(room.each(lambda talk: talk.ask(text)), console)


def _command(room: Room, name: str, argument: str, console: Console) -> Room | None:
    if name in ("quit", "exit"):
        return None
    if name not in _COMMANDS:
        near = difflib.get_close_matches(name, _COMMANDS, 1)
        raise AssayError(
            "no such command", value=f"/{name}",
            expected=", ".join(f"/{known}" for known in (*_COMMANDS, "quit")),
            hint=f"did you mean /{near[0]}?" if near else None,
        )  # fmt: skip
    return _COMMANDS[name](room, argument, console)


def _help(room: Room, _: str, console: Console) -> Room:
    console.print(_HELP, markup=False, highlight=False)
    return room


def _retry(room: Room, _: str, console: Console) -> Room:
    if room.talks[0].question is None:
        raise AssayError("nothing to repeat yet")
    if not room.decoding.temperature:
        console.print("temperature is 0: the answer is the same again", style="dim")
    return _answer(room.each(Talk.open), console)


def _undo(room: Room, _: str, console: Console) -> Room:
    if room.talks[0].question is None:
        raise AssayError("nothing to repeat yet")
    room = room.each(Talk.undo)
    last = room.talks[0].question
    said = "at the beginning" if last is None else f"back after: {last}"
    console.print(said, style="dim", markup=False, highlight=False)
    return room


def _system(room: Room, argument: str, console: Console) -> Room:
    console.print("system text set" if argument else "no system text", style="dim")
    return room.each(lambda talk: replace(talk, system=argument or None))


def _temperature(room: Room, argument: str, console: Console) -> Room:
    if argument:
        room = replace(room, decoding=replace(room.decoding, temperature=check_temperature(argument)))
    console.print(f"temperature {room.decoding.temperature:g}", style="dim")
    return room


def check_temperature(text: str | float) -> float:
    """Return a temperature; raise :class:`AssayError` for what is none."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2:
        raise AssayError("not a temperature", value=text, expected="a number from 0 to 2")
    return value


def _save(room: Room, argument: str, console: Console) -> Room:
    path = Path(argument).expanduser()
    if path.suffix != ".jsonl" or path.exists():
        problem = "the file exists" if path.exists() else "no file to save to"
        raise AssayError(problem, value=argument, expected="a new FILE.jsonl")
    if room.talks[0].question is None:
        raise AssayError("nothing to repeat yet")
    told = [talk.sample(f"chat:{v.label}") for v, talk in zip(room.voices, room.talks, strict=True)]
    data.write(told, path, "samples")
    console.print(f"{path}: {len(told)} conversation{'s' * (len(told) > 1)}", style="dim", markup=False)
    return room


_COMMANDS: dict[str, Callable[[Room, str, Console], Room]] = {
    "help": _help,
    "retry": _retry,
    "undo": _undo,
    "system": _system,
    "temperature": _temperature,
    "save": _save,
}


def _answer(room: Room, console: Console) -> Room:
    """Let every voice answer the last question; what Ctrl-C cuts off stays as it is."""
    decoding = replace(room.decoding, seed=room.decoding.seed + room.answered)
    answers = (_alone if len(room.voices) == 1 else _beside)(room, decoding, console)
    talks = tuple(talk.answer(text) for talk, text in zip(room.talks, answers, strict=True))
    return replace(room, talks=talks, answered=room.answered + 1)


def _alone(room: Room, decoding: Decoding, console: Console) -> list[str]:
    """Show one answer as it is made."""
    said, out = "", console.file
    try:
        for piece in _pieces(room.voices[0], room.talks[0], decoding, _warn):
            said += piece.text
            print(printable(piece.text) + _CUT * (piece.ended == "length"), end="", file=out, flush=True)
    except KeyboardInterrupt:
        print(_STOPPED, end="", file=out)
    print(file=out, flush=True)
    return [said]


def _warn(note: str) -> None:
    print(note, file=sys.stderr)


def _pieces(voice: Voice, talk: Talk, decoding: Decoding, note: Callable[[str], None]) -> Iterator[Piece]:
    """Yield the pieces of an answer, telling of turns that were left out of the question."""
    prompt = voice.model.prompt(talk.messages, decoding.max_new_tokens, drop=True)
    if prompt.dropped:
        note(f"[{voice.label}: the context is full, the {prompt.dropped} oldest turns are left out]")
    yield from voice.model.stream(prompt, decoding)


def _beside(room: Room, decoding: Decoding, console: Console) -> list[str]:
    """Show the answers of all voices in columns while they are made, a piece of each in turn."""
    from rich.live import Live

    notes: list[str] = []
    pairs = zip(room.voices, room.talks, strict=True)
    under_way = dict(enumerate(_pieces(voice, talk, decoding, notes.append) for voice, talk in pairs))
    said, marks = [""] * len(room.voices), [""] * len(room.voices)
    with Live(console=console, transient=True, refresh_per_second=12) as live:
        try:
            while under_way:
                for index, pieces in list(under_way.items()):
                    if (piece := next(pieces, None)) is None:
                        del under_way[index]
                        continue
                    said[index] += piece.text
                    marks[index] = _CUT * (piece.ended == "length")
                live.update(_columns(room.voices, said, console, lines=max(1, console.height - 4)))
        except KeyboardInterrupt:
            marks = [_STOPPED if index in under_way else mark for index, mark in enumerate(marks)]
    for note in notes:
        console.print(note, style="dim", markup=False, highlight=False)
    shown = [text + mark for text, mark in zip(said, marks, strict=True)]
    console.print(_columns(room.voices, shown, console))
    return said


def _columns(
    voices: Sequence[Voice], texts: Sequence[str], console: Console, lines: int | None = None
) -> RenderableType:
    """Return the answers in columns; with ``lines`` only the last of each, so that a screen holds them."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    width = max(8, console.width // len(voices) - 3)
    cells = []
    for voice, text in zip(voices, texts, strict=True):
        table.add_column(Text(printable(voice.label)), ratio=1, overflow="fold")
        wrapped = Text(printable(text)).wrap(console, width)
        cells.append(Text("\n").join(wrapped[-lines:] if lines else wrapped))
    table.add_row(*cells)
    return table
