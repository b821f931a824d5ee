"""What values look like to people: one description of a page, shown as HTML, Markdown, text and JSON.

Values describe themselves in the blocks of :mod:`assay.core`; those of a study are described here.  Nothing
is computed beyond layout, and heavy libraries are imported where they are used.
"""

from assay.view._bases import render_bases_html, render_bases_markdown
from assay.view._book import load_book
from assay.view._cards import data_card, model_card, stated_license
from assay.view._export import export_page, export_summary
from assay.view._files import HTML, SAYS, keep_command, load_result, load_study, restore, study_command
from assay.view._forming import forming, overlaid
from assay.view._html import page_html, write_page
from assay.view._index import headline_metric
from assay.view._json import plain_json
from assay.view._markdown import page_markdown
from assay.view._plots import write_plot
from assay.view._report import render_html
from assay.view._says import count_notes, headline, read_notes, said
from assay.view._spark import sparkline
from assay.view._study import report, summary
from assay.view._terminal import print_page
from assay.view._values import (
    LANGUAGE,
    described,
    print_value,
    reader_language,
    value_html,
    value_json,
    value_markdown,
)
from assay.view._words import CATALOGUES, LANGUAGES, Words, words
from assay.view._write import (
    EXPORT_VALUES,
    EXPORTS,
    name_command,
    points_frame,
    show_exports,
    write_points,
    write_report,
    write_report_page,
)

__all__ = [
    "CATALOGUES",
    "EXPORTS",
    "EXPORT_VALUES",
    "HTML",
    "LANGUAGE",
    "LANGUAGES",
    "SAYS",
    "Words",
    "count_notes",
    "data_card",
    "described",
    "export_page",
    "export_summary",
    "forming",
    "headline",
    "headline_metric",
    "keep_command",
    "load_book",
    "load_result",
    "load_study",
    "model_card",
    "name_command",
    "overlaid",
    "page_html",
    "page_markdown",
    "plain_json",
    "points_frame",
    "print_page",
    "print_value",
    "read_notes",
    "reader_language",
    "render_bases_html",
    "render_bases_markdown",
    "render_html",
    "report",
    "restore",
    "said",
    "show_exports",
    "sparkline",
    "stated_license",
    "study_command",
    "summary",
    "value_html",
    "value_json",
    "value_markdown",
    "words",
    "write_page",
    "write_plot",
    "write_points",
    "write_report",
    "write_report_page",
]
