"""The type of use of a prompt by a chat model, asked by the package's template in English or Chinese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from assay.core import TASK_TYPES, Message, Sample, task_type
from assay.generation._prompts import Prompts
from assay.generation._tasks import task_of
from assay.llm import Advance, Chat, ChatConfig, Failure, Reply, Request, Sampling

_SAMPLING = Sampling(temperature=0.0, max_tokens=64)
_LONGEST = 200
# Names as they are found inside a sentence; the Chinese ones are those of the Chinese template.
_NAMES = {
    **{name: name.replace("_", "[ _-]?") for name in TASK_TYPES},
    "extraction": r"extraction|信息抽取|抽取",
    "summarization": r"summari[sz]ation|摘要",
    "math": r"math(?:ematics)?|数学",
    "code": r"code|coding|代码",
    "cot": r"cot|chain[ -]of[ -]thought|分步推理|思维链",
    "classification": r"classification|分类",
    "open_qa": r"open[ _-]?qa|开放(?:式)?问答",
    "closed_qa": r"closed[ _-]?qa|封闭(?:式)?问答",
    "generation": r"generation|创作",
    "brainstorming": r"brainstorming|出主意|头脑风暴",
    "rewrite": r"rewrite|rewriting|改写",
    "translation": r"translation|翻译",
}
_FOUND = {name: re.compile(rf"(?<![a-z_])(?:{text})(?![a-z_])") for name, text in _NAMES.items()}


def type_request(sample: Sample, *, prompts: Path | None = None) -> Request:
    """Return the question for the type of a sample, in Chinese for Chinese samples, else in English."""
    language = "zh" if sample.language == "zh" else "en"
    text = Prompts(language, prompts).classify(task_of(sample))
    return Request((Message("user", text),), _SAMPLING)


def read_type(reply: str) -> str | None:
    """Return the type that a reply names; None where it names none, several, or says too much."""
    text = unicodedata.normalize("NFKC", reply).strip().lower()
    bare = task_type(text.strip(" \n\t\"'`*.。:<>[]()“”「」《》【】"))
    if bare in TASK_TYPES:
        return bare
    if len(text) > _LONGEST:
        return None
    named = [name for name, pattern in _FOUND.items() if pattern.search(text)]
    return named[0] if len(named) == 1 else None


def _wrong(reply: Reply) -> str | None:
    return None if read_type(reply.text) else "the reply does not name one of the twelve types"


def type_requests(
    config: ChatConfig, samples: Sequence[Sample], *, prompts: Path | None = None
) -> list[Request]:
    """Return what :func:`ask_types` asks of each sample."""
    return [config.request(type_request(sample, prompts=prompts)) for sample in samples]


def ask_types(
    chat: Chat,
    config: ChatConfig,
    samples: Sequence[Sample],
    *,
    prompts: Path | None = None,
    advance: Advance | None = None,
) -> Iterator[tuple[int, str | Failure]]:
    """Yield (number of the sample, its type or why there is none) as replies arrive.

    A reply that does not name one type is asked for again, and never guessed at.
    """
    requests = type_requests(config, samples, prompts=prompts)
    for number, outcome in chat.ask(requests, usable=_wrong, advance=advance):
        if isinstance(outcome, Failure):
            yield number, outcome
            continue
        found = read_type(outcome.text)
        if found is None:
            yield number, Failure(outcome.key, "malformed", "the reply does not name one type", 1)
        else:
            yield number, found
