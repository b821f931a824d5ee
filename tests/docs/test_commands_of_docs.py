"""Every command that a page shows is one that the command line takes, with options that it has."""

from __future__ import annotations

import pytest
from cyclopts import App, CycloptsError, MissingArgumentError
from doc_blocks import ROOT, assay_words, blocks, examples, inline, pages

from assay.cli import build

COMMANDS = [
    pytest.param(words, id=f"{page.relative_to(ROOT)}:{line}")
    for page in pages()
    for block in blocks(page)
    for line, command in block.commands()
    if (words := assay_words(command)) is not None
]

NAMED = [(f"{page.relative_to(ROOT)}:{line}", text) for page in pages() for line, text in inline(page)]
SAID = [
    pytest.param(words, id=f"{place} {text}")
    for place, text in dict.fromkeys([*NAMED, *examples()])
    if "…" not in text and "..." not in text and (words := assay_words(text)) is not None
]
"""Commands within sentences, docstrings and messages; often without what they are to work on."""


@pytest.fixture(scope="module")
def app() -> App:
    return build(everything=True)


def test_pages_have_commands() -> None:
    assert len(COMMANDS) > 80


@pytest.mark.parametrize("words", COMMANDS)
def test_the_command_line_takes_it(app: App, words: list[str]) -> None:
    kept = [word for word in words if word not in {"--json", "--quiet"}]
    try:
        app.parse_args(kept, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        pytest.fail(f"assay {' '.join(words)}: {error}")


@pytest.mark.parametrize("words", SAID)
def test_what_a_sentence_names_is_there(app: App, words: list[str]) -> None:
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except MissingArgumentError:
        pass  # "assay study run" alone is a name
    except CycloptsError as error:
        pytest.fail(f"assay {' '.join(words)}: {error}")


def test_a_command_that_is_not_there_is_found_out(app: App) -> None:
    for words in (
        ["curve", "a.csv", "--no-such-option"],
        ["no-such-command"],
        ["curve", "a.csv", "--asked", "x"],
    ):
        with pytest.raises(CycloptsError):
            app.parse_args(words, exit_on_error=False, print_error=False)
