"""Talk to the models of studies: what the terminal and the server need of runs and store."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from assay import model, serving, view
from assay.core import AssayError
from assay.study._find import (
    MODELS,
    ModelPlace,
    find_model,
    find_study_model,
    read_models,
    study_folders,
    study_name,
)


def open_place(place: ModelPlace, device: str = "auto") -> model.ChatModel:
    """Load the model of a place for conversation."""
    return model.open_chat(place.folder, base=place.base, device=device)


def chat_in_terminal(
    names: Sequence[str],
    *,
    system: str | None,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    seed: int,
    device: str,
    runs: Path,
) -> None:
    """Talk to one model, or to two side by side; standard input that is no terminal is one question."""
    from rich.console import Console

    serving.check_temperature(temperature)
    if not 0 < top_p <= 1:
        raise AssayError("not a share", place="--top-p", value=top_p, expected="above 0, up to 1")
    if max_new_tokens < 1:
        raise AssayError("no room for an answer", place="--max-new-tokens", value=max_new_tokens)
    question = None if sys.stdin.isatty() else sys.stdin.read().strip()
    if question == "":
        raise AssayError("nothing is asked", place="standard input", expected="a question, or a terminal")
    places = [find_model(name, runs=runs) for name in names]
    voices = [serving.Voice(place.label, open_place(place, device)) for place in places]
    decoding = model.Decoding(max_new_tokens, temperature, top_p, seed)
    if question is None:
        serving.converse(voices, system, decoding, Console(highlight=False))
    else:
        serving.answer_piped(voices, question, system, decoding)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The models that a server has: those named, and every trained one of the studies in ``runs``."""

    runs: Path
    given: tuple[str, ...]
    device: str = "auto"

    def studies(self, language: str) -> list[serving.StudyRow]:
        """Return the studies with their models, as they are at this moment."""
        return [_study(folder, self.runs, language) for folder in study_folders(self.runs)]

    def open(self, name: str) -> model.ChatModel:
        """Load a model that was named, or one of a study: no other folder, and nothing from the hub."""
        if name in self.given:
            return open_place(find_model(name, runs=self.runs), self.device)
        if ":" in name:
            return open_place(find_study_model(name, self.runs), self.device)
        known = [*self.given, *(name for row in self.studies("en") for name in row.models)]
        raise serving.unknown_model(name, known)


def _study(folder: Path, runs: Path, language: str) -> serving.StudyRow:
    name, listed, made = study_name(folder), folder / MODELS, folder / "result.json"
    models = read_models(folder) if listed.is_file() else None
    above = [folder.parent] if folder.parent != runs else []
    pages = [page for place in (folder, *above) if (page := place / "report.html").is_file()]
    # A study lists its models before it trains them, and its result comes last.
    finished = made.is_file() and (models is None or made.stat().st_mtime >= listed.stat().st_mtime)
    return serving.StudyRow(
        name=name,
        finished=finished,
        models=tuple(f"{name}:{m.name}" for m in models.models if models.trained(m)) if models else (),
        planned=len(models.models) if models else 0,
        says=_says(made, made.stat().st_mtime_ns, language) if made.is_file() else None,
        reports=tuple(str(page.relative_to(runs)) for page in pages),
    )


@lru_cache(maxsize=256)
def _says(result: Path, written: int, language: str) -> str | None:
    """Return what a study found, in a sentence; None where its result is not of this version."""
    try:
        return view.headline(view.load_result(result), language)
    except AssayError:
        return None


def serve_models(
    names: Sequence[str],
    *,
    runs: Path,
    device: str,
    host: str,
    port: int,
    language: str | None,
    open_browser: bool,
) -> None:
    """Serve the named models, ``pocket`` without any, and the studies in ``runs`` until Ctrl-C."""
    given = tuple(dict.fromkeys(names)) or (model.POCKET,)
    for name in given:
        find_model(name, runs=runs)
    serving.serve(
        Shelf(runs, given, device), host=host, port=port, language=language, open_browser=open_browser
    )
