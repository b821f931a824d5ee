"""A Modelfile for Ollama: the GGUF file, the chat template in Go's language, marks that end an answer.

The Go template is read off rendered conversations and kept only where it gives the same text for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import Message
from assay.data import replacing_text
from assay.model.base import load_tokenizer
from assay.model.tokens import end_mark, render

_CONTEXT = 8192
_S, _U = Message("system", "\x01S"), Message("user", "\x01U")
_A, _V = Message("assistant", "\x01A"), Message("user", "\x01V")


@dataclass(frozen=True, slots=True)
class TurnTexts:
    """What a template writes around the contents of turns.

    ``start`` comes before a conversation without a system turn.  A system turn stands by itself between
    ``system`` or, where ``inside``, takes the place of what opens the first user turn.
    """

    start: str
    system: tuple[str, str]
    inside: bool
    user: tuple[str, str]
    assistant: tuple[str, str]
    generation: str

    def render(self, messages: Sequence[Message]) -> str:
        """Return the text of a conversation that ends in a user turn, and of what asks for the answer."""
        has_system = messages[0].role == "system"
        text = "" if has_system else self.start
        for index, message in enumerate(messages):
            before, after = getattr(self, message.role)
            opened = self.inside and has_system and index == 1
            text += ("" if opened else before) + message.content + after
        return text + self.generation

    def go_template(self) -> str:
        """Return the same as a template for Ollama."""
        opening = _literal(self.user[0])
        if self.inside:
            before, after = map(_literal, self.system)
            system = ""
            opening = (
                f"{{{{ if and $.System (eq $i 1) }}}}{before}{{{{ $.System }}}}{after}"
                f"{{{{ else }}}}{opening}{{{{ end }}}}"
            )
        else:
            system = _when("system", _literal(self.system[0]), self.system[1])
        start = f"{{{{ if not .System }}}}{_literal(self.start)}{{{{ end }}}}" if self.start else ""
        turns = (
            system
            + _when("user", opening, self.user[1])
            + _when("assistant", _literal(self.assistant[0]), self.assistant[1])
        )
        return f"{start}{{{{ range $i, $_ := .Messages }}}}{turns}{{{{ end }}}}{_literal(self.generation)}"


def _when(role: str, opening: str, after: str) -> str:
    return f'{{{{ if eq .Role "{role}" }}}}{opening}{{{{ .Content }}}}{_literal(after)}{{{{ end }}}}'


def _literal(text: str) -> str:
    return text.replace("{", '{{ "{" }}')


def turn_texts(tokenizer: Any) -> TurnTexts | None:
    """Read off what the chat template writes around turns; None where it is not of that form.

    The start mark is left out, as llama.cpp puts it before the text.
    """
    talks = [(_U,), (_S, _U), (_U, _A, _V), (_S, _U, _A, _V)]
    texts = [_without_bos(tokenizer, render(tokenizer, talk, generation_prompt=True)) for talk in talks]
    parts = [_cut(text, talk) for text, talk in zip(texts, talks, strict=True)]
    if any(part is None for part in parts):
        return None
    (head, tail), (before, middle, _), (_, to_assistant, to_user, _), _ = map(tuple, filter(None, parts))
    user = _common_prefix(head[::-1], to_user[::-1])[::-1], _common_prefix(tail, to_assistant)
    inside = not middle.endswith(user[0])
    found = TurnTexts(
        start=head.removesuffix(user[0]),
        system=(before, middle if inside else middle.removesuffix(user[0])),
        inside=inside,
        user=user,
        assistant=(to_assistant.removeprefix(user[1]), to_user.removesuffix(user[0])),
        generation=tail.removeprefix(user[1]),
    )
    same = all(found.render(talk) == text for talk, text in zip(talks, texts, strict=True))
    return found if same else None


def _cut(text: str, talk: Sequence[Message]) -> list[str] | None:
    """Return what stands before, between and after the contents of ``talk``; None where one is missing."""
    parts = []
    for message in talk:
        part, found, text = text.partition(message.content)
        if not found:
            return None
        parts.append(part)
    return [*parts, text]


def _common_prefix(a: str, b: str) -> str:
    differing = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return a[: next(differing, min(len(a), len(b)))]


def _without_bos(tokenizer: Any, text: str) -> str:
    return text.removeprefix(tokenizer.bos_token or "")


def write_modelfile(folder: Path, gguf: Path) -> Path:
    """Write ``Modelfile`` beside a GGUF file made from ``folder`` and return its path.

    Answers are greedy, as they are measured.  Where the chat template is not made of turns one after the
    other, none is written and Ollama goes by the one in the GGUF file.
    """
    from transformers import AutoConfig

    tokenizer = load_tokenizer(folder)
    config = AutoConfig.from_pretrained(folder)
    room = getattr(config, "max_position_embeddings", None) or getattr(config, "seq_length", None) or _CONTEXT
    texts = turn_texts(tokenizer)
    template = None if texts is None else texts.go_template()
    stops = dict.fromkeys((end_mark(tokenizer), tokenizer.eos_token))
    path = gguf.with_name("Modelfile")
    with replacing_text(path) as lines:
        lines.write(f"FROM ./{gguf.name}\n")
        if template is not None and '"""' not in template:
            lines.write(f'TEMPLATE """{template}"""\n')
        for stop in filter(None, stops):
            lines.write(f'PARAMETER stop "{stop}"\n')
        lines.write("PARAMETER temperature 0\n")
        lines.write(f"PARAMETER num_ctx {min(room, _CONTEXT)}\n")
    return path
