"""ms-swift, on a data set of ids and labels."""

from __future__ import annotations

from typing import Any

from assay.model.external._settings import ExternalRun, refuse, trainer_arguments


def swift_config(run: ExternalRun) -> dict[str, Any]:
    """Return the settings of ``swift sft``."""
    refuse("ms-swift", "trainer", "ms-swift", "trl")
    return trainer_arguments(run)
