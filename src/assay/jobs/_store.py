"""What a store holds, and what of it nobody needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assay import plan
from assay.core import File


def status(*, store: File = Path(".assay")) -> plan.StoreStatus:
    """Show the studies of a store, how far each has come, and what they take on disk.

    Example: `assay status`

        >>> assay.status(store=".assay").studies[0].name
        'tiny'

    Parameters
    ----------
    store
        The store's folder.
    """
    return plan.status(plan.Store(Path(store), create=False))


def gc(
    *, store: File = Path(".assay"), delete: bool = False, forget: Sequence[str] = ()
) -> plan.GarbageReport:
    """Show (or delete) stored objects that no registered study needs.

    Example: `assay gc --forget old-study --delete`

        >>> assay.gc(store=".assay").deleted
        False

    Parameters
    ----------
    store
        The store's folder.
    delete
        Delete instead of showing.
    forget
        Studies whose objects are no longer wanted.
    """
    return plan.collect_garbage(plan.Store(Path(store), create=False), forget=forget, dry_run=not delete)


def store(place: File = Path(".assay"), *, repair: bool = False) -> plan.StoreCheck:
    """Digest every file of a store and name what is corrupt.

    Example: `assay doctor store --repair`

        >>> assay.doctor.store(".assay").intact
        True

    Parameters
    ----------
    place
        The store's folder.
    repair
        Set corrupt objects aside; the next command that needs one computes it again.
    """
    return plan.check_store(plan.Store(Path(place), create=False), repair=repair)
