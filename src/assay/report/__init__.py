"""A study's result as people read it: one HTML file, Markdown, a terminal summary, tables.

Nothing is computed here beyond layout; :class:`assay.core.StudyResult` is the only input.  Heavy
libraries are imported where they are used.
"""

from assay.report._cards import data_card, model_card, stated_license
from assay.report._export import export_summary, render_export, write_export_page
from assay.report._files import HTML, load_result, load_study, points_frame, restore, write_report
from assay.report._html import render_html
from assay.report._markdown import render_markdown
from assay.report._plots import write_plot
from assay.report._pool import render_pool, write_page
from assay.report._rule import render_rule, render_search, said, write_rule_page, write_search_page
from assay.report._says import headline
from assay.report._terminal import print_summary, print_value, sparkline

__all__ = [
    "HTML",
    "data_card",
    "export_summary",
    "headline",
    "load_result",
    "load_study",
    "model_card",
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
    "sparkline",
    "stated_license",
    "write_export_page",
    "write_page",
    "write_plot",
    "write_report",
    "write_rule_page",
    "write_search_page",
]
