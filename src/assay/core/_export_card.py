"""What the card of an exported model says."""

from __future__ import annotations

from dataclasses import dataclass

from assay.core._export_page import ExportPage
from assay.core._points import RunRow, StudyResult


@dataclass(frozen=True, slots=True)
class ExportCard:
    """What a model's card says: its base, its licences (None: nobody stated one), its export, its study.

    ``base_id`` names the base on the Hub (None where it is not from there), ``run`` is the fine-tuning of a
    study that made the model, ``version`` that of this package.
    """

    base: str
    base_id: str | None
    base_license: str | None
    license: str | None
    version: str
    page: ExportPage
    study: StudyResult | None = None
    run: RunRow | None = None
