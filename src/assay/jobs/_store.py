"""What a store holds, and what of it nobody needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assay import plan
from assay.core import File


def status(*, store: File = Path(".assay")) -> plan.StoreStatus:
    """List the studies of a store, with progress and disk usage.

    Example: `assay status`

        >>> assay.status(store=".assay").studies[0].name
        'tiny'

    Parameters
    ----------
    store
        Folder of the store, or `s3://bucket/prefix`.
    """
    return plan.status(plan.open_store(store, create=False))


def gc(
    *, store: File = Path(".assay"), delete: bool = False, forget: Sequence[str] = ()
) -> plan.GarbageReport:
    """List (or delete) stored objects that no registered study needs.

    Example: `assay gc --forget old-study --delete`

        >>> assay.gc(store=".assay").deleted
        False

    Parameters
    ----------
    store
        Folder of the store, or `s3://bucket/prefix`.
    delete
        Delete instead of listing.
    forget
        Studies whose objects are no longer needed.
    """
    return plan.collect_garbage(plan.open_store(store, create=False), forget=forget, dry_run=not delete)


def doctor_store(place: File = Path(".assay"), *, repair: bool = False) -> plan.StoreCheck:
    """Verify the checksum of every file in a store.

    Example: `assay doctor store --repair`

        >>> assay.doctor_store(".assay").intact
        True

    Parameters
    ----------
    place
        Folder of the store, or `s3://bucket/prefix`.
    repair
        Move corrupt objects aside; they are recomputed when needed.
    """
    return plan.check_store(plan.open_store(place, create=False), repair=repair)
