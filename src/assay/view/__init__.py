"""A study's result as people read it: one HTML file, Markdown, a terminal summary, tables.

Nothing is computed here beyond layout; :class:`assay.core.StudyResult` is the only input.  Heavy
libraries are imported where they are used.
"""

from assay.view._cards import data_card, model_card, stated_license
from assay.view._export import export_summary, render_export, write_export_page
from assay.view._files import (
    EXPORT_VALUES,
    EXPORTS,
    HTML,
    load_result,
    load_study,
    points_frame,
    restore,
    show_exports,
    write_report,
)
from assay.view._html import render_html
from assay.view._markdown import render_markdown
from assay.view._plots import write_plot
from assay.view._pool import render_pool, write_page
from assay.view._rule import render_rule, render_search, said, write_rule_page, write_search_page
from assay.view._says import count_notes, headline
from assay.view._tables import table as new_table
from assay.view._terminal import html_of, print_summary, print_value, sparkline

__all__ = [
    "EXPORTS",
    "EXPORT_VALUES",
    "HTML",
    "count_notes",
    "data_card",
    "export_summary",
    "headline",
    "html_of",
    "load_result",
    "load_study",
    "model_card",
    "new_table",
    "points_frame",
    "print_summary",
    "print_value",
    "render_export",
    "render_html",
    "render_markdown",
    "render_pool",
    "render_rule",
    "render_search",
    "restore",
    "said",
    "show_exports",
    "sparkline",
    "stated_license",
    "write_export_page",
    "write_page",
    "write_plot",
    "write_report",
    "write_rule_page",
    "write_search_page",
]
