"""Release a model: other formats, what each costs, cards, the push to the Hub."""

from assay.release._export import Exported, ExportSettings, export

__all__ = [
    "ExportSettings",
    "Exported",
    "export",
]
