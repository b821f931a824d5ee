"""The chat in a terminal, with the pocket model, through a real pseudo-terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pty_chat import Terminal

from assay import data, model
from assay.core import Message, Sample
from assay.serving._models import printable
from assay.serving._talk import Talk


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    chat = Terminal(["pocket", "--temperature", "0", "--max-new-tokens", "12"])
    chat.until("Ctrl-D ends.")
    chat.until("you> ")
    yield chat
    chat.type("/quit\n")
    assert chat.end() == 0


def greedy(*turns: Message, tokens: int = 12) -> str:
    folder = model.resolve_base("pocket")
    network, tokenizer = model.load_model(folder), model.load_tokenizer(folder)
    (found,) = model.answer(network, tokenizer, [Sample(turns)], model.Decoding(tokens))
    return found.text.rstrip("\ufffd")


def shown(text: str) -> str:
    return text.replace("\r\n", "\n").removesuffix(" […]")


def test_a_conversation_in_two_languages(terminal: Terminal, tmp_path: Path) -> None:
    first = shown(terminal.ask("What is the capital of France?"))
    asked = Message("user", "What is the capital of France?")
    assert first == greedy(asked)
    second = shown(terminal.ask("法国的首都是哪里？"))
    turns = (asked, Message("assistant", first), Message("user", "法国的首都是哪里？"))
    assert second == greedy(*turns)  # the turns before were read too
    again = terminal.ask("/retry")
    assert "temperature is 0" in again and shown(again).endswith(second)
    saved = tmp_path / "said.jsonl"
    assert "conversation" in terminal.ask(f"/save {saved}")
    (sample,) = data.read(str(saved))
    assert isinstance(sample, Sample)
    assert sample.messages == (*turns, Message("assistant", second)) and sample.source == "chat:pocket"
    assert "the file exists" in terminal.ask(f"/save {saved}")
    assert "back after: What" in terminal.ask("/undo")
    assert "at the beginning" in terminal.ask("/undo")
    assert "nothing to repeat yet" in terminal.ask("/retry")


def test_commands_say_what_they_want(terminal: Terminal) -> None:
    assert "did you mean /retry?" in terminal.ask("/rety")
    assert "/save FILE.jsonl" in terminal.ask("/help")
    assert "a number from 0 to 2" in terminal.ask("/temperature hot")
    assert "temperature 0.5" in terminal.ask("/temperature 0.5")
    assert "temperature 0" in terminal.ask("/temperature 0")
    assert "system text set" in terminal.ask("/system 你是一个助手。")
    told = shown(terminal.ask("//etc 是什么？"))
    assert told == greedy(Message("system", "你是一个助手。"), Message("user", "/etc 是什么？"))
    assert "no system text" in terminal.ask("/system")
    assert "no file to save to" in terminal.ask("/save notes.txt")
    terminal.ask("/undo")


def test_a_line_is_edited_with_wide_characters(terminal: Terminal) -> None:
    """Backspace takes a whole Chinese character back, Ctrl-A goes to the start of the line."""
    asked = shown(terminal.ask("中国的首都x？\x7f\x7f是哪里？\x01请问："))
    assert asked == greedy(Message("user", "请问：中国的首都是哪里？"))
    terminal.ask("/undo")


@pytest.mark.long
def test_interrupts_stop_an_answer_and_not_the_chat() -> None:
    chat = Terminal(["pocket", "--temperature", "1", "--max-new-tokens", "1000"])
    chat.until("you> ")
    chat.type("half a line")
    chat.interrupt("you> ")
    chat.type("Tell me a very long story.\n")
    chat.until(r"story\.\r\n.{5}")
    chat.interrupt(r"\[stopped\]\r\n")
    chat.until("you> ")
    assert "temperature 0" in chat.ask("/temperature 0")
    chat.type("\x04")
    assert chat.end() == 0


def test_two_models_side_by_side() -> None:
    chat = Terminal(["pocket", "pocket", "--temperature", "0", "--max-new-tokens", "30"], width=90)
    chat.until("you> ")
    said = chat.ask("法国的首都是哪里？")
    head, *rows = [line.rstrip() for line in said.split("\r\n") if line.strip()][-4:]
    whole = greedy(Message("user", "法国的首都是哪里？"), tokens=30)
    rows = [row for row in rows if "─" not in row]
    halves = [row.split("  ") for row in rows]
    assert "pocket" in head and whole.startswith(halves[0][0].strip())
    assert halves[0][0].strip() == halves[0][-1].strip()
    chat.type("/quit\n")
    assert chat.end() == 0


def test_a_question_is_piped_in_and_plain_text_comes_out(tmp_path: Path) -> None:
    def piped(question: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "assay", "chat", *arguments, "--temperature", "0"]
        command += ["--max-new-tokens", "12", "--runs", str(tmp_path)]
        return subprocess.run(command, input=question, capture_output=True, text=True, check=False)

    question = "法国的首都\n是哪里？\n"
    answered = piped(question, "pocket")
    assert answered.stdout == greedy(Message("user", question.strip())) + "\n", answered.stderr
    assert "no question was given" in piped(" \n", "pocket").stderr
    missing = piped("?", "demo:random/800")
    assert missing.returncode == 1 and "no such study" in missing.stderr


def test_what_was_said_is_a_value() -> None:
    talk = Talk(system="s").ask("q").answer("a")
    assert talk.open() == Talk(system="s").ask("q") == talk.open().open()
    assert talk.undo() == talk.open().undo() == Talk(system="s")
    assert talk.ask("r").question == "r" and Talk().question is None
    assert [m.role for m in talk.messages] == ["system", "user", "assistant"]


def test_a_model_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x9b\x07\r\tc\n\x7f中") == "a[2Jb\tc\n中"
