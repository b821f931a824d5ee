"""A Hugging Face tokenizer as the vocabulary of a GGUF file: pieces, types, merges or scores, split rule."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core import AssayError, Message, Say, say
from assay.data.synthetic import generate
from assay.model.tokens import chat_template, encode_prompts, end_mark, render

# Split rules as tokenizers write them, and llama.cpp's name of the same rule.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS: dict[str, tuple[str, ...]] = {
    "qwen2": (_LLAMA3.replace("{1,3}", ""),),
    "gpt-2": (_GPT2,),
    "llama-bpe": (_LLAMA3,),
    "bloom": (r" ?[^(\s|[.,!?…。，、।۔،])]+",),
    "tekken": (_TEKKEN,),
    "starcoder": (r"\p{N}", _GPT2),
}
# Stand-ins for a rule that llama.cpp lacks.  It splits by code of its own here; by the others it does through
# std::regex, which dies of words of tens of thousands of letters.
_STAND_INS = ("qwen2", "llama-bpe", "gpt-2")
# With this rule llama.cpp takes a word that is a piece whole, before any merge.
_IGNORES_MERGES = "llama-bpe"

_HARD = (
    "It's 3.14159, isn't it?  I'LL say: \"don't\" (e.g. x_1 = f(a)[0] + 1,234,567).",
    "'The captain,' he wrote, 'won't go: WE'RE LATE.'  \u2018Curly\u2019 too \u2014 it\u2019s fine\u2026",
    "def f(x):\n\treturn x**2  # comment\n\n\nprint(f(12))\r\n",
    "  two spaces, trailing  \n \n\t- item 1\n\t- item 2\n",
    "你好，世界！今天是2024年5月17日，星期五。（气温25.5℃）《红楼梦》第一回……",
    "中文与English混排，共100%：“引号”、『书名』；换行\n第二行。\n\n第三段——完。",
    "Ünïcödé café naïve Ελλάδα Москва 한국어 日本語 العربية हिन्दी 🙂👍🏽",
    'https://example.org/a?b=c&d=1#e <html>&amp;</html> {"k": [1, 2.5e-3, null]}',
    "",
)


@dataclass(frozen=True, slots=True)
class GgufVocabulary:
    """Pieces by id with their types; ``merges`` for byte-level BPE, ``scores`` for SentencePiece's.

    ``pre`` is llama.cpp's name of the split rule; ``notes`` say what of the tokenizer it does not have.
    """

    model: str
    pre: str
    pieces: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...] | None
    scores: tuple[float, ...] | None
    notes: tuple[Say, ...]


def probes() -> list[tuple[Message, ...]]:
    """Return some 200 prompts, English and Chinese: the testbed's, a third of two turns, and hard lines."""
    samples = [planted.sample for planted in generate(200, seed=1, split="eval")]
    single = [sample.prompt for sample in samples]
    double = [(*one.messages, *two.prompt) for one, two in zip(samples[::3], samples[1::3], strict=False)]
    return [*single[::3], *single[1::3], *double, *((Message("user", line),) for line in _HARD)]


def gguf_vocabulary(tokenizer: Any, rows: int) -> GgufVocabulary:
    """Return the vocabulary of a fast BPE tokenizer for an embedding of ``rows`` rows.

    Rows beyond the tokenizer are pieces that no text gives.  Raises :class:`AssayError` for tokenizers that
    are neither byte-level BPE nor SentencePiece-style BPE with byte fallback.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str()) if getattr(tokenizer, "is_fast", False) else {}
    model = state.get("model", {})
    byte_level = any(part["type"] == "ByteLevel" for part in _parts(state.get("pre_tokenizer")))
    if model.get("type") != "BPE" or not (byte_level or model.get("byte_fallback")):
        raise AssayError(
            "export to GGUF does not support this kind of tokenizer",
            place=getattr(tokenizer, "name_or_path", None),
            value=model.get("type", type(tokenizer).__name__),
            expected="byte-level BPE, or SentencePiece's BPE with byte fallback (tokenizer.json)",
        )
    pieces, types = _pieces(state, rows, byte_level, tokenizer.unk_token)
    merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    if byte_level:
        pre, notes = _split_rule(tokenizer, state)
        joined = tuple(" ".join(pair) for pair in merges)
        return GgufVocabulary("gpt2", pre, pieces, types, joined, None, notes)
    return GgufVocabulary("llama", "default", pieces, types, None, _scores(pieces, merges), ())


def write_vocabulary(writer: Any, vocabulary: GgufVocabulary, tokenizer: Any) -> None:
    """Write the tokenizer's keys: pieces, marks, what a conversation begins with, and the chat template."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.pieces)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges is not None:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(_space_prefix(tokenizer))
    for role in ("bos", "eos", "unk", "pad"):
        number = getattr(tokenizer, f"{role}_token_id")
        if number is not None:
            getattr(writer, f"add_{role}_token_id")(number)
    writer.add_eot_token_id(tokenizer.convert_tokens_to_ids(end_mark(tokenizer)))
    # As in training: a conversation begins with the start mark only where the template writes it.
    writer.add_add_bos_token(_first_ids(tokenizer)[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(False)
    writer.add_chat_template(chat_template(tokenizer))


def _first_ids(tokenizer: Any) -> list[int]:
    """Return the ids of the shortest conversation."""
    return encode_prompts(tokenizer, [[Message("user", "a")]])[0]


def _space_prefix(tokenizer: Any) -> bool:
    """Return whether the text of a conversation gets a space before it, which llama.cpp is to add."""
    special = set(tokenizer.all_special_ids)
    first = next(i for i in _first_ids(tokenizer) if i not in special)
    return bool(tokenizer.convert_ids_to_tokens(first).startswith("▁"))


def _parts(pre_tokenizer: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if pre_tokenizer is None:
        return
    if pre_tokenizer["type"] == "Sequence":
        for part in pre_tokenizer["pretokenizers"]:
            yield from _parts(part)
    else:
        yield pre_tokenizer


def _pieces(
    state: dict[str, Any], rows: int, byte_level: bool, unknown: str | None
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    from gguf import TokenType

    found: dict[int, tuple[str, TokenType]] = {}
    for piece, number in state["model"]["vocab"].items():
        is_byte = not byte_level and len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")
        found[number] = piece, TokenType.BYTE if is_byte else TokenType.NORMAL
    for added in state["added_tokens"]:
        text = added["content"]
        if added["special"]:
            is_unknown = text == unknown and not byte_level
            found[added["id"]] = text, TokenType.UNKNOWN if is_unknown else TokenType.CONTROL
        else:
            # llama.cpp looks for these in the text as it came.
            found[added["id"]] = text if byte_level else text.replace("▁", " "), TokenType.USER_DEFINED
    if found and max(found) >= rows:
        raise AssayError(
            "the tokenizer has more pieces than the model has rows",
            value=max(found) + 1,
            expected=f"at most {rows}, the rows of the embedding",
        )
    listed = [found.get(number, (f"[PAD{number}]", TokenType.UNUSED)) for number in range(rows)]
    return tuple(piece for piece, _ in listed), tuple(int(kind) for _, kind in listed)


def _scores(pieces: Sequence[str], merges: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """Return scores under which the best pair is the one merged first, and pieces of no merge come last."""
    first: dict[str, int] = {}
    for rank, pair in enumerate(merges):
        first.setdefault("".join(pair), rank)
    return tuple(-float(first.get(piece, len(merges))) for piece in pieces)


def _split_rule(tokenizer: Any, state: dict[str, Any]) -> tuple[str, tuple[Say, ...]]:
    """Return llama.cpp's name of the split rule, or of the one that encodes most prompts alike."""
    own = _rule(state["pre_tokenizer"])
    for name, splits in _SPLITS.items():
        if own == splits:
            return name, ()
    texts = [render(tokenizer, prompt, generation_prompt=True) for prompt in probes()]
    expected = _encoded(tokenizer.backend_tokenizer, texts)
    shares = {}
    for name in _STAND_INS:
        found = _encoded(_with_splits(state, name), texts)
        shares[name] = sum(a == b for a, b in zip(found, expected, strict=True)) / len(texts)
    best = max(shares, key=lambda name: shares[name])
    return best, (say("note.gguf.split", name=best),)


def _encoded(backend: Any, texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in backend.encode_batch(texts, add_special_tokens=False)]


def _rule(pre_tokenizer: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the regular expressions that split in turn; None for a rule that is not made of such."""
    splits = []
    for part in _parts(pre_tokenizer):
        match part:
            case {"type": "ByteLevel", "use_regex": use, "add_prefix_space": False}:
                splits += [_GPT2] if use else []
            case {"type": "Split", "pattern": {"Regex": str(regex)}, "behavior": "Isolated", "invert": False}:
                splits.append(regex)
            case {"type": "Digits", "individual_digits": True}:
                splits.append(r"\p{N}")
            case _:
                return None
    return tuple(splits)


def _with_splits(state: dict[str, Any], name: str) -> Any:
    """Return the tokenizer as llama.cpp would have it by the rule ``name``."""
    from tokenizers import Tokenizer

    parts: list[dict[str, Any]] = [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
        for regex in _SPLITS[name]
    ]
    parts.append({"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False})
    changed = {
        **state,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": parts},
        "model": {**state["model"], "ignore_merges": name == _IGNORES_MERGES},
    }
    return Tokenizer.from_str(json.dumps(changed))
