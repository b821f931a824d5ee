"""A conversation as a value: what was said, what is asked again, what is taken back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from assay.core import Message, Sample


@dataclass(frozen=True, slots=True)
class Talk:
    """The turns of one conversation, and its system text (None without)."""

    turns: tuple[Message, ...] = ()
    system: str | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """Return all turns, the system's first."""
        return self.turns if self.system is None else (Message("system", self.system), *self.turns)

    @property
    def question(self) -> str | None:
        """Return the last question, None where nothing was asked."""
        return next((turn.content for turn in reversed(self.turns) if turn.role == "user"), None)

    def ask(self, text: str) -> Talk:
        """Return the conversation with one more question."""
        return replace(self, turns=(*self.turns, Message("user", text)))

    def answer(self, text: str) -> Talk:
        """Return the conversation with an answer to its last question."""
        return replace(self, turns=(*self.turns, Message("assistant", text)))

    def open(self) -> Talk:
        """Return the conversation up to its last question, to be answered again."""
        last = self.turns and self.turns[-1].role == "assistant"
        return replace(self, turns=self.turns[:-1]) if last else self

    def undo(self) -> Talk:
        """Return the conversation without its last question and answer."""
        return replace(self, turns=self.open().turns[:-1])

    def sample(self, source: str) -> Sample:
        """Return the conversation as a sample to learn from or to judge."""
        return Sample(self.messages, source=source)
