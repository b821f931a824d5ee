"""Where the real data sets are, for tests that read them and skip without them."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def shared_folder() -> Path | None:
    """Return the folder of shared data sets, from ASSAY_SHARED or beside the checkout."""
    place = Path(os.environ.get("ASSAY_SHARED", ROOT.parent / "shared"))
    return place if (place / "data").is_dir() else None
