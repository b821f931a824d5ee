"""Answers as they are made: a token loop over the cache of keys and values, text piece by piece."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from assay.core import AssayError, Message, read_json
from assay.model.base import load_exported, load_model, load_tokenizer, pick_device
from assay.model.inference._evaluate import Decoding
from assay.model.inference._llama_cpp import GgufModel
from assay.model.inference._odds import BROKEN, Drawn, Odds, drawn, odds
from assay.model.tokens import encode_prompts, stop_ids

GGUF = ".gguf"


class TooLongError(AssayError):
    """A conversation that leaves no tokens left for an answer."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens after which a model is to answer; ``dropped`` old turns were left out to make room."""

    ids: tuple[int, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """The next text of an answer; ``tokens`` made so far; ``ended`` says why it is the last, else None."""

    text: str
    tokens: int
    ended: Literal["stop", "length"] | None = None
    odds: tuple[Odds, ...] = ()
    """Of the tokens that begin in this text or before it, each once; empty where nobody asked."""


class Network(Protocol):
    """What writes tokens: a model under torch or llama.cpp."""

    @property
    def context(self) -> int | None:
        """Tokens that fit, question and answer; None where the model has no limit of its own."""
        ...

    def follow(self, ids: Sequence[int], decoding: Decoding, top: int | None = None) -> Iterator[Drawn]:
        """Yield the tokens that follow ``ids``, without end; the same seed gives the same tokens.

        With ``top`` each comes with its odds, and those of as many of the likeliest tokens.
        """
        ...


class ChatModel:
    """A model with its tokenizer, in conversation; ``ends`` are the tokens that end an answer."""

    def __init__(self, network: Network, tokenizer: Any, ends: Iterable[int]) -> None:
        """Talk through an opened model."""
        self._network, self._tokenizer, self._ends = network, tokenizer, frozenset(ends)

    def prompt(self, messages: Sequence[Message], max_new_tokens: int, *, drop: bool = False) -> Prompt:
        """Return the tokens of a conversation.

        With ``drop`` the oldest turns are left out until an answer of ``max_new_tokens`` (at most half of the
        context) fits.  Raises :class:`TooLongError` where no room is left for an answer.
        """

        def encode(turns: Sequence[Message]) -> Sequence[int]:
            return encode_prompts(self._tokenizer, [turns])[0]

        return fit(messages, encode, self._network.context, max_new_tokens, drop=drop)

    def stream(
        self, prompt: Prompt, decoding: Decoding, stop: Sequence[str] = (), *, top: int | None = None
    ) -> Generator[Piece, None, None]:
        """Yield the answer as it is made; the last piece, and it alone, says why it ended.

        Blanks around the answer are left out, a character whose bytes are not all there is waited for, and
        the first of the texts ``stop`` ends the answer and is not part of it.  With ``top`` pieces hold the
        odds of their tokens, and of as many of the likeliest in the place of each.  Close it to stop earlier.
        """
        room, context = decoding.max_new_tokens, self._network.context
        if context is not None:
            room = min(room, context - len(prompt.ids))
        said, made, kept = Said(stop), list[int](), _Kept()
        for found in self._network.follow(prompt.ids, decoding, top):
            ended = found.token in self._ends
            if not ended:
                if top is not None:
                    kept.add(odds(self._tokenizer, made, found))
                made.append(found.token)
            last = ended or len(made) == room
            text = self._tokenizer.decode(made, skip_special_tokens=True)
            new, stopped = said.take(text, last=last)
            shown = kept.upto(said.shown if stopped or not last else None, len(text.lstrip()))
            if stopped or last:
                yield Piece(new, len(made) + ended, "stop" if stopped or ended else "length", shown)
                return
            if new:
                yield Piece(new, len(made), odds=shown)


class _Kept:
    """Odds of tokens that wait for the text in which they begin."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Odds]] = []
        self._length = 0

    def add(self, found: Odds) -> None:
        """Keep the odds of the next token: it begins where the text before it ends."""
        self._waiting.append((self._length, found))

    def upto(self, shown: int | None, length: int) -> tuple[Odds, ...]:
        """Let go of tokens that begin before ``shown`` characters; ``length`` is that of the text by now."""
        self._length = length
        ready = [one for one in self._waiting if shown is None or one[0] < shown]
        self._waiting = self._waiting[len(ready) :]
        return tuple(found for _, found in ready)


class _TorchNetwork:
    """A causal language model under torch."""

    def __init__(self, model: Any) -> None:
        self._model = model.eval()

    @property
    def context(self) -> int | None:
        config = self._model.config.get_text_config()
        return getattr(config, "max_position_embeddings", None) or getattr(config, "seq_length", None)

    @torch.no_grad()
    def follow(self, ids: Sequence[int], decoding: Decoding, top: int | None = None) -> Iterator[Drawn]:
        """Only the new token is read again: the past is in the cache."""
        device = next(self._model.parameters()).device
        generator = torch.Generator(device).manual_seed(decoding.seed)
        read, cache = torch.tensor([list(ids)], device=device), None
        while True:
            out = self._model(input_ids=read, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = out.past_key_values
            logits = out.logits[0, -1].float()
            token = _choose(logits, decoding, generator)
            yield drawn(token, logits, top)
            read = torch.tensor([[token]], device=device)


class _GgufNetwork:
    """A GGUF file under llama.cpp, which is let go of with this."""

    def __init__(self, model: GgufModel) -> None:
        self._model = model.__enter__()
        weakref.finalize(self, model.__exit__, None, None, None)

    @property
    def context(self) -> int:
        return self._model.context

    def follow(self, ids: Sequence[int], decoding: Decoding, top: int | None = None) -> Iterator[Drawn]:
        return self._model.follow(ids, decoding, top)


def open_chat(folder: Path, *, base: Path | None = None, device: str = "auto") -> ChatModel:
    """Load a model for conversation; ``base`` is the one below an adapter.

    On the CPU in fp32, as studies measure it; quantized ones, and any on a GPU, in the type of their weights.
    A GGUF file is opened by llama.cpp; the tokenizer's files lie beside it.
    """
    if folder.suffix == GGUF:
        tokenizer = load_tokenizer(folder.parent)
        return ChatModel(_GgufNetwork(GgufModel(folder, tokenizer)), tokenizer, stop_ids(tokenizer))
    tokenizer, device = load_tokenizer(folder), pick_device(device)
    as_it_is = base is None and (device != "cpu" or _quantized(folder))
    model = load_exported(folder, device) if as_it_is else load_model(folder, device, base=base)
    ends = {*stop_ids(tokenizer), *_ids(model.generation_config.eos_token_id)}
    return ChatModel(_TorchNetwork(model), tokenizer, ends)


def _quantized(folder: Path) -> bool:
    return "quantization_config" in read_json(folder / "config.json")


def fit(
    messages: Sequence[Message],
    encode: Callable[[Sequence[Message]], Sequence[int]],
    context: int | None,
    max_new_tokens: int,
    *,
    drop: bool,
) -> Prompt:
    """Return the tokens of a conversation, its oldest turns dropped where that is allowed and needed.

    System turns stay, and what is left begins with a user's turn.
    """
    clean = [replace(m, content=m.content.encode("utf-8", "replace").decode()) for m in messages]
    system = [m for m in clean if m.role == "system"]
    turns = [m for m in clean if m.role != "system"]
    ids, dropped = encode(clean), 0
    if context is None:
        return Prompt(tuple(ids))
    room = context - min(max_new_tokens, context // 2)
    while drop and len(ids) > room and (later := _second_question(turns)):
        dropped, turns = dropped + later, turns[later:]
        ids = encode([*system, *turns])
    if len(ids) >= context:
        raise TooLongError(
            "the conversation is longer than the model's context", value=f"{len(ids):,} tokens",
            expected=f"fewer than {context:,} tokens", hint="ask a shorter question",
        )  # fmt: skip
    return Prompt(tuple(ids), dropped)


def _second_question(turns: Sequence[Message]) -> int | None:
    """Return where the second user's turn stands that follows an answer; None where there is none."""
    places = (i for i in range(1, len(turns)) if turns[i].role == "user" and turns[i - 1].role != "user")
    return next(places, None)


class Said:
    """Turns the text of all tokens so far into what can be shown now, so that nothing is to be taken back.

    Byte fallback (SentencePiece) spells a run of bytes as a whole, all of it as U+FFFD where it is broken;
    what was shown of such a run stays as it was.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        """Wait for the texts of ``stop``; ``shown`` are the characters shown so far."""
        self._stop, self.shown = tuple(text for text in stop if text), 0

    def take(self, text: str, *, last: bool = False) -> tuple[str, bool]:
        """Return what is new in ``text``, and whether a stop text ended it."""
        text = text.lstrip()
        found = [place for place in map(text.find, self._stop) if place >= 0]
        if found:
            text = text[: min(found)]
        whole = text.rstrip(BROKEN).rstrip()
        if not (last or found):
            whole = whole[: len(whole) - max((_begun(whole, s) for s in self._stop), default=0)].rstrip()
        new, self.shown = whole[self.shown :], max(self.shown, len(whole))
        return new, bool(found)


def _begun(text: str, stop: str) -> int:
    """Return how many characters at the end of ``text`` may be the beginning of ``stop``."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


def _choose(logits: torch.Tensor, decoding: Decoding, generator: torch.Generator) -> int:
    """Return the best token at temperature 0, else one drawn from the nucleus (Holtzman et al. 2020)."""
    if decoding.temperature <= 0:
        return int(logits.argmax())
    chances, tokens = torch.softmax(logits / decoding.temperature, -1).sort(descending=True)
    chances[chances.cumsum(-1) - chances >= decoding.top_p] = 0.0
    return int(tokens[torch.multinomial(chances, 1, generator=generator)])


def _ids(value: int | Sequence[int] | None) -> frozenset[int]:
    return frozenset() if value is None else frozenset([value] if isinstance(value, int) else value)
