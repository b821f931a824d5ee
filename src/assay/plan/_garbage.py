"""A store as a whole: what it holds, what no study needs, whether all of it is intact."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core import AssayError, Column, Page, Paragraph, Shown, Table, page, say
from assay.plan._store import Store, if_free, read_root, size_of

_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """How far a registered study has come."""

    name: str
    steps: int
    done: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What a store holds; ``unfinished`` counts work folders of steps that were begun and not ended."""

    place: str
    studies: tuple[StudyStatus, ...]
    objects: int
    bytes: int
    unfinished: int


@dataclass(frozen=True)
class GarbageReport(Shown):
    """What no registered study and no running process needs, and whether it was deleted.

    ``work_folders`` are attempts that nobody goes on with, leftovers of interrupted deletions, corrupt
    objects that were set aside, and in a bucket uploads that nothing names.
    """

    objects: int
    work_folders: int
    bytes: int
    deleted: bool

    def as_page(self) -> Page:
        """Return in one sentence what is not needed, and whether it was deleted."""
        key = "gc.done" if self.deleted else "gc.found" if self.objects or self.work_folders else "gc.none"
        found = say(key, objects=self.objects, folders=self.work_folders, bytes=self.bytes)
        return page(Paragraph(found, "strong"))


@dataclass(frozen=True, slots=True)
class CorruptObject:
    """An object that is not what its manifest says."""

    key: str
    label: str
    problem: str


@dataclass(frozen=True)
class StoreCheck(Shown):
    """A whole store, checked: every file of every object digested.

    ``corrupt`` objects are left in place unless the check was told to set them aside; ``set_aside`` counts
    those in ``corrupt/`` from before and now, ``unreadable`` names files of ``roots/`` that are no list of
    keys.
    """

    place: str
    objects: int
    bytes: int
    corrupt: tuple[CorruptObject, ...]
    set_aside: int
    unreadable: tuple[str, ...]
    unfinished: int

    @property
    def intact(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.corrupt and not self.unreadable

    def as_page(self) -> Page:
        """Return in one sentence whether all is well, and what is not."""
        bad = len(self.corrupt) + len(self.unreadable)
        key = "store.corrupt" if bad else "store.intact"
        found = say(key, place=self.place, objects=self.objects, bad=bad, aside=self.set_aside)
        rows = [(c.label, c.key[:12], c.problem) for c in self.corrupt]
        rows += [("roots", path, "") for path in self.unreadable]
        columns = tuple(Column(say(f"store.{name}")) for name in ("object", "key", "problem"))
        return page(Paragraph(found), *([Table(columns, tuple(rows))] if rows else []))


def check_store(store: Store, *, repair: bool = False) -> StoreCheck:
    """Digest every file of a store and say what is wrong; with ``repair`` corrupt objects are set aside.

    What is set aside is computed again by the next command that needs it.
    """
    _needs_store(store)
    sizes, corrupt = store.sizes(), []
    for key in sizes:
        problem = store.problem(key)
        if problem is not None:
            corrupt.append(CorruptObject(key, store.label(key), problem))
            if repair:
                store.set_aside(key)
    return StoreCheck(
        place=store.address,
        objects=len(sizes),
        bytes=sum(sizes.values()),
        corrupt=tuple(corrupt),
        set_aside=store.aside(),
        unreadable=tuple(str(path) for path in store.root_files() if not _is_root(path)),
        unfinished=_unfinished(store),
    )


def _is_root(path: Path) -> bool:
    try:
        return all(isinstance(key, str) for key in read_root(path)["keys"])
    except AssayError:
        return False


def status(store: Store) -> StoreStatus:
    """Return the studies of a store and how far each has come."""
    _needs_store(store)
    sizes = store.sizes()
    studies = tuple(
        StudyStatus(name, len(keys), sum(k in sizes for k in keys), sum(sizes.get(k, 0) for k in keys))
        for name, keys in store.roots().items()
    )
    return StoreStatus(store.address, studies, len(sizes), sum(sizes.values()), _unfinished(store))


def _unfinished(store: Store) -> int:
    return sum(p.is_dir() and _KEY.fullmatch(p.name) is not None for p in (store.root / "work").glob("*"))


def collect_garbage(store: Store, *, forget: Iterable[str] = (), dry_run: bool = True) -> GarbageReport:
    """Count (or with ``dry_run=False`` delete) what no registered study and no running process needs.

    ``forget`` drops studies first.  Studies register before they look for what is there, under the lock that
    is held here, so that none finds an object which is deleted then.
    """
    _needs_store(store)
    with store.collecting():
        roots = store.roots()
        for name in forget:
            if name not in roots:
                known = ", ".join(roots) or "none"
                raise AssayError("no such study", place="--forget", value=name, expected=f"one of: {known}")
            del roots[name]
            if not dry_run:
                store.forget_study(name)
        return _collected(store, roots, dry_run=dry_run)


def _collected(store: Store, roots: Mapping[str, Sequence[str]], *, dry_run: bool) -> GarbageReport:
    wanted = {key for keys in roots.values() for key in keys} | store.held()
    sizes = store.sizes()
    doomed = [key for key in sizes if key not in wanted]
    gone = doomed if dry_run else store.drop(doomed, lambda: _wanted(store))
    folders, n_bytes = store.orphans(remove=not dry_run)
    n_bytes += sum(sizes[key] for key in gone)
    for folder in [*store.root.glob("work/*"), *store.root.glob("corrupt/*")]:
        if not folder.is_dir() or folder.name in wanted:
            continue
        size = size_of(folder)
        if store.unlocked(folder.name) if _KEY.fullmatch(folder.name) else True:
            folders, n_bytes = folders + 1, n_bytes + size
            if not dry_run:
                _remove(store, folder)
    return GarbageReport(len(gone), folders, n_bytes, not dry_run)


def _wanted(store: Store) -> set[str]:
    return {key for keys in store.roots().values() for key in keys} | store.held()


def _remove(store: Store, folder: Path) -> None:
    """Delete a work folder under its lock, and the lock with it."""
    if _KEY.fullmatch(folder.name) is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    lock = folder.with_name(f"{folder.name}.lock")
    with if_free(lock) as free:
        if free:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _needs_store(store: Store) -> None:
    if not store.is_there():
        raise AssayError(
            "no store here",
            place=store.address,
            expected="a folder made by `assay study run` or `assay demo`, or a bucket that one wrote to",
            hint="give --store PLACE, or run from the folder where the study ran",
        )
