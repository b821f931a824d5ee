"""GGUF files under llama.cpp: answers and losses as transformers gives them, and its own quantizer.

Through the C interface of llama-cpp-python, so that logits are computed only where they are asked for.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from assay.core import AssayError, Message, Sample
from assay.model.inference._evaluate import Answer, Decoding, ItemLoss, finish
from assay.model.inference._odds import Drawn, drawn
from assay.model.tokens import encode, encode_prompts, render, stop_ids

Advance = Callable[[float, float, str], None]
Logits = npt.NDArray[np.float32]

_FILE_TYPES = {"q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0", "q4_k": "LLAMA_FTYPE_MOSTLY_Q4_K_M"}
_BATCH = 256
_said: deque[str] = deque(maxlen=8)
_kept: list[Any] = []


class GgufModel:
    """A GGUF file opened by llama.cpp on the CPU, with the Hugging Face tokenizer that it was made from.

    Use it as a context manager.  It computes on as many threads as torch does, one text at a time.
    """

    def __init__(self, path: Path, tokenizer: Any) -> None:
        """Open ``path``; raises :class:`AssayError` for a file that llama.cpp cannot read."""
        self._lib = _library()
        self._tokenizer = tokenizer
        self._model = _load(self._lib, path)
        self._vocab = self._lib.llama_model_get_vocab(self._model)

    def __enter__(self) -> GgufModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lib.llama_model_free(self._model)

    @property
    def context(self) -> int:
        """Tokens that the model was made for, question and answer."""
        return int(self._lib.llama_model_n_ctx_train(self._model))

    def logits(self, ids: Sequence[int], places: Sequence[int]) -> Logits:
        """Return the logits [places, vocabulary] after the tokens at ``places`` of one text."""
        with self._session(len(ids)) as session:
            return np.stack(list(session.read(ids, set(places))))

    def reference_loss(
        self,
        items: Sequence[Sample],
        *,
        max_tokens: int = 1024,
        advance: Advance = lambda done, total, unit: None,
    ) -> list[ItemLoss | None]:
        """Return the loss of each item's last answer, as :func:`assay.model.reference_loss` does."""
        rows = encode(self._tokenizer, items, max_tokens)
        results: list[ItemLoss | None] = []
        with self._session(max((len(row.ids) for row in rows), default=1)) as session:
            for item, row in zip(items, rows, strict=True):
                targets = [place for place, learned in enumerate(row.learned) if learned and place]
                if item.answer is None or not targets:
                    results.append(None)
                else:
                    found = session.read(row.ids, {place - 1 for place in targets})
                    nats = sum(_nats(x, row.ids[t]) for x, t in zip(found, targets, strict=True))
                    n_bytes = len(item.answer.encode("utf-8", "replace"))
                    results.append(ItemLoss(item.id, nats, len(targets), n_bytes, row.cut))
                advance(len(results), len(items), "item")
        return results

    def answer(
        self,
        items: Sequence[Sample],
        decoding: Decoding,
        advance: Advance = lambda done, total, unit: None,
    ) -> list[Answer]:
        """Generate one answer for each item's prompt, as :func:`assay.model.answer` does."""
        prompts = encode_prompts(self._tokenizer, [item.prompt for item in items])
        stops = stop_ids(self._tokenizer)
        longest = max(map(len, prompts), default=1) + decoding.max_new_tokens
        results: list[Answer] = []
        with self._session(longest) as session:
            for index, (item, prompt) in enumerate(zip(items, prompts, strict=True)):
                room = max(1, min(decoding.max_new_tokens, self.context - len(prompt)))
                rng = np.random.default_rng((decoding.seed, index))
                made: list[int] = []
                logits = next(session.read(prompt, {len(prompt) - 1}))
                while True:
                    made.append(_choose(logits, decoding, rng))
                    if made[-1] in stops or len(made) == room:
                        break
                    logits = session.next(made[-1])
                results.append(finish(self._tokenizer, stops, item, made))
                advance(len(results), len(items), "answer")
        return results

    def follow(self, ids: Sequence[int], decoding: Decoding, top: int | None = None) -> Iterator[Drawn]:
        """Yield the tokens that follow ``ids``, without end; the same seed gives the same tokens."""
        rng = np.random.default_rng(decoding.seed)
        with self._session(min(self.context, len(ids) + decoding.max_new_tokens)) as session:
            logits = next(session.read(ids, {len(ids) - 1}))
            while True:
                found = drawn(_choose(logits, decoding, rng), torch.from_numpy(logits), top)
                yield found
                logits = session.next(found.token)

    @contextmanager
    def _session(self, length: int) -> Iterator[_Session]:
        session = _Session(self._lib, self._model, self._lib.llama_vocab_n_tokens(self._vocab), length)
        try:
            yield session
        finally:
            session.close()


class _Session:
    """Room for one text of up to ``length`` tokens: keys and values of what was read, and a batch."""

    def __init__(self, lib: Any, model: Any, rows: int, length: int) -> None:
        self._lib, self._rows, self._place = lib, rows, 0
        settings = lib.llama_context_default_params()
        settings.n_ctx, settings.n_batch = length, _BATCH
        settings.n_threads = settings.n_threads_batch = torch.get_num_threads()
        self._context = lib.llama_init_from_model(model, settings)
        if not self._context:
            raise AssayError(
                "llama.cpp has no memory for a text", value=f"{length} tokens", hint=_last_words()
            )
        self._batch = lib.llama_batch_init(_BATCH, 0, 1)

    def close(self) -> None:
        self._lib.llama_batch_free(self._batch)
        self._lib.llama_free(self._context)

    def read(self, ids: Sequence[int], wanted: set[int]) -> Iterator[Logits]:
        """Read a new text; yield the logits [vocabulary] after each wanted place, in order."""
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)
        self._place = 0
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            flags = [start + i in wanted for i in range(len(part))]
            self._decode(part, flags)
            for i, flag in enumerate(flags):
                if flag:
                    yield self._logits(i)

    def next(self, token: int) -> Logits:
        """Read one more token and return the logits after it."""
        self._decode([token], [True])
        return self._logits(0)

    def _decode(self, ids: Sequence[int], flags: Sequence[bool]) -> None:
        batch = self._batch
        batch.n_tokens = len(ids)
        for i, (token, flag) in enumerate(zip(ids, flags, strict=True)):
            batch.token[i], batch.pos[i], batch.logits[i] = token, self._place + i, flag
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        if self._lib.llama_decode(self._context, batch) != 0:
            raise AssayError(
                "llama.cpp could not read a text", value=f"{len(ids)} tokens", hint=_last_words()
            )
        self._place += len(ids)

    def _logits(self, index: int) -> Logits:
        """Return a copy: llama.cpp writes the next ones in the same place."""
        found = self._lib.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(found, (self._rows,)).copy()


def tokenizer_agreement(path: Path, tokenizer: Any, prompts: Sequence[Sequence[Message]]) -> float:
    """Return the share of prompts which the tokenizer in the GGUF file encodes as ``tokenizer`` does."""
    lib = _library()
    model = _load(lib, path, vocab_only=True)
    try:
        vocab = lib.llama_model_get_vocab(model)
        found = [_tokens(lib, vocab, render(tokenizer, p, generation_prompt=True)) for p in prompts]
    finally:
        lib.llama_model_free(model)
    expected = encode_prompts(tokenizer, prompts)
    return sum(a == b for a, b in zip(found, expected, strict=True)) / len(prompts)


def quantize_gguf(path: Path, out: Path, kind: str) -> None:
    """Write the f16 file ``path`` as ``q8_0`` or ``q4_k`` to ``out`` by llama.cpp's own quantizer."""
    lib = _library()
    settings = lib.llama_model_quantize_default_params()
    settings.ftype = getattr(lib, _FILE_TYPES[kind])
    settings.nthread = torch.get_num_threads()
    if lib.llama_model_quantize(str(path).encode(), str(out).encode(), ctypes.byref(settings)) != 0:
        raise AssayError("llama.cpp could not quantize the file", place=str(path), hint=_last_words())


def _load(lib: Any, path: Path, *, vocab_only: bool = False) -> Any:
    settings = lib.llama_model_default_params()
    settings.vocab_only = vocab_only
    model = lib.llama_model_load_from_file(str(path).encode(), settings)
    if not model:
        raise AssayError("llama.cpp cannot read the file", place=str(path), hint=_last_words())
    return model


def _tokens(lib: Any, vocab: Any, text: str) -> list[int]:
    raw = text.encode("utf-8", "replace")
    # Never more tokens than bytes, but for a space put before the text after each mark.
    room = 2 * len(raw) + 8
    ids = (lib.llama_token * room)()
    # The start mark is part of the text already; marks in it are marks.
    count = lib.llama_tokenize(vocab, raw, len(raw), ids, room, False, True)
    return list(ids[:count])


def _nats(logits: Logits, target: int) -> float:
    wide = logits.astype(np.float64)
    top = wide.max()
    return float(top + np.log(np.exp(wide - top).sum()) - wide[target])


def _choose(logits: Logits, decoding: Decoding, rng: np.random.Generator) -> int:
    """Return the best token at temperature 0, else one drawn from the nucleus (Holtzman et al. 2020)."""
    if decoding.temperature <= 0:
        return int(logits.argmax())
    wide = logits.astype(np.float64) / decoding.temperature
    chances = np.exp(wide - wide.max())
    chances /= chances.sum()
    order = np.argsort(-chances)
    before = np.cumsum(chances[order]) - chances[order]
    kept = order[before < decoding.top_p]
    return int(rng.choice(kept, p=chances[kept] / chances[kept].sum()))


@cache
def _library() -> Any:
    """Return llama.cpp's C interface, made silent but for its last words."""
    try:
        lib: Any = import_module("llama_cpp")
    except ImportError:
        raise AssayError(
            "llama-cpp-python is not installed", place="gguf", hint='pip install "instruct-assay[gguf]"'
        ) from None
    # llama.cpp calls it as long as it lives.
    _kept.append(lib.llama_log_callback(_listen))
    lib.llama_log_set(_kept[-1], ctypes.c_void_p(0))
    lib.llama_backend_init()
    return lib


def _listen(level: int, text: bytes, data: object) -> None:
    # 3 and 4 are warnings and errors (ggml.h).
    if level in (3, 4):
        _said.append(text.decode("utf-8", "replace").strip())


def _last_words() -> str | None:
    return " / ".join(_said)[-400:] or None
