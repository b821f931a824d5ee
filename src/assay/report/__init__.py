"""A study's result as people read it: one HTML file, Markdown, a terminal summary, tables.

Nothing is computed here beyond layout; :class:`assay.core.StudyResult` is the only input.  Heavy
libraries are imported where they are used.
"""

from assay.report._files import load_result, points_frame, restore, write_report
from assay.report._html import render_html
from assay.report._markdown import render_markdown
from assay.report._plots import write_plot
from assay.report._pool import render_pool, write_page
from assay.report._rule import render_rule, render_search, said, write_rule_page, write_search_page
from assay.report._terminal import print_summary, print_value, sparkline

__all__ = [
    "load_result",
    "points_frame",
    "print_summary",
    "print_value",
    "render_html",
    "render_markdown",
    "render_pool",
    "render_rule",
    "render_search",
    "restore",
    "said",
    "sparkline",
    "write_page",
    "write_plot",
    "write_report",
    "write_rule_page",
    "write_search_page",
]
