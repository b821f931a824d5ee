"""The instructions of IFEval that a program can check (Zhou et al. 2023, 2311.07911, table 1), strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from assay.data import language_of

Given = Mapping[str, Any]
Rule = Callable[[str, Given], bool]


def follows(instruction: str, answer: str, given: Given) -> bool:
    """Return whether an answer follows an instruction; an empty answer follows none.

    Raises :class:`KeyError` for an instruction that is not known.
    """
    rule = RULES[instruction]
    return bool(answer.strip()) and rule(answer, {k: v for k, v in given.items() if v is not None})


def _compared(count: int, given: Given, number: str, relation: str) -> bool:
    """Return whether a count is at least, or less than, what was asked for."""
    wanted = int(given[number])
    return count < wanted if given.get(relation) == "less than" else count >= wanted


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _sentences(text: str) -> int:
    return len([part for part in re.split(r"(?<=[.!?。！？])\s+|(?<=[。！？])", text) if part.strip()])


def _paragraphs(text: str, mark: str) -> list[str]:
    """Return the parts between marks; an empty part inside counts, at an end it does not."""
    parts = re.split(mark, text)
    kept = parts[0 if parts[0].strip() else 1 :]
    return kept if not kept or kept[-1].strip() else kept[:-1]


def _paragraph_count(text: str, given: Given) -> bool:
    parts = _paragraphs(text, r"\s?\*\*\*\s?")
    return all(part.strip() for part in parts) and len(parts) == int(given["num_paragraphs"])


def _first_word(text: str, given: Given) -> bool:
    parts = [part.strip() for part in re.split(r"\n\n", text) if part.strip()]
    place = int(given["nth_paragraph"])
    if len(parts) != int(given["num_paragraphs"]) or place > len(parts):
        return False
    first = re.split(r"[.,?!'\"\s]", parts[place - 1].split()[0].lstrip("'\""))[0]
    return first.lower() == str(given["first_word"]).lower()


def _json_format(text: str, given: Given) -> bool:
    bare = re.sub(r"^```(?:json)?|```$", "", text.strip(), flags=re.IGNORECASE).strip()
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def _highlights(text: str, given: Given) -> bool:
    found = [one for one in re.findall(r"\*[^\n*]*\*", text) if one.strip("*").strip()]
    found += [one for one in re.findall(r"\*\*[^\n*]*\*\*", text) if one.strip("*").strip()]
    return len(found) >= int(given["num_highlights"])


def _sections(text: str, given: Given) -> bool:
    mark = rf"\s?{re.escape(str(given['section_spliter']).strip())}\s?\d+\s?"
    return len(re.split(mark, text)) - 1 >= int(given["num_sections"])


def _bullets(text: str, given: Given) -> bool:
    found = re.findall(r"^\s*\*[^*].*$", text, re.MULTILINE) + re.findall(r"^\s*-.*$", text, re.MULTILINE)
    return len(found) == int(given["num_bullets"])


def _two_answers(text: str, given: Given) -> bool:
    parts = text.split("******")
    inside = [part.strip() for place, part in enumerate(parts) if part.strip() or 0 < place < len(parts) - 1]
    return all(inside) and len(inside) == 2 and inside[0] != inside[1]


def _postscript(text: str, given: Given) -> bool:
    mark = str(given["postscript_marker"]).strip().lower()
    own = {"p.p.s": r"p\.\s?p\.\s?s", "p.s.": r"p\.\s?s\."}.get(mark, re.escape(mark))
    return re.search(rf"^\s*{own}.*$", text.lower(), re.MULTILINE) is not None


def _keyword(word: Any, text: str) -> int:
    return len(re.findall(re.escape(str(word)), text, re.IGNORECASE))


def _forbidden(text: str, given: Given) -> bool:
    words = given["forbidden_words"]
    return not any(re.search(rf"\b{re.escape(str(w))}\b", text, re.IGNORECASE) for w in words)


def _letters(text: str, given: Given) -> bool:
    count = text.lower().count(str(given["letter"]).lower())
    return _compared(count, given, "let_frequency", "let_relation")


def _capitals(text: str, given: Given) -> bool:
    words = [word for word in re.findall(r"[^\s]+", text) if word.isupper()]
    return _compared(len(words), given, "capital_frequency", "capital_relation")


def _language(text: str, given: Given) -> bool:
    return language_of(text) == str(given["language"])


def _in(language: str, text: str) -> bool:
    return language_of(text) in (language, None)


RULES: Mapping[str, Rule] = {
    "keywords:existence": lambda text, given: all(_keyword(w, text) for w in given["keywords"]),
    "keywords:frequency": lambda text, given: _compared(
        _keyword(given["keyword"], text), given, "frequency", "relation"
    ),
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:number_sentences": lambda text, given: _compared(
        _sentences(text), given, "num_sentences", "relation"
    ),
    "length_constraints:number_words": lambda text, given: _compared(
        len(_words(text)), given, "num_words", "relation"
    ),
    "length_constraints:number_paragraphs": _paragraph_count,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": lambda text, given: (
        len(re.findall(r"\[.*?\]", text)) >= int(given["num_placeholders"])
    ),
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": lambda text, given: any(
        one in text for one in ("My answer is yes.", "My answer is no.", "My answer is maybe.")
    ),
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json_format,
    "detectable_format:title": lambda text, given: any(
        one.strip("<>").strip() for one in re.findall(r"<<[^\n]+>>", text)
    ),
    "combination:two_responses": _two_answers,
    "combination:repeat_prompt": lambda text, given: (
        text.strip().lower().startswith(str(given["prompt_to_repeat"]).strip().lower())
    ),
    "startend:end_checker": lambda text, given: (
        text.strip().strip('"').lower().endswith(str(given["end_phrase"]).strip().lower())
    ),
    "startend:quotation": lambda text, given: (
        len(text.strip()) > 1 and text.strip()[0] == text.strip()[-1] == '"'
    ),
    "change_case:capital_word_frequency": _capitals,
    "change_case:english_capital": lambda text, given: text.isupper() and _in("en", text),
    "change_case:english_lowercase": lambda text, given: text.islower() and _in("en", text),
    "punctuation:no_comma": lambda text, given: "," not in text,
}
"""Each instruction by its name in the data set: whether an answer follows it, with its arguments."""
