"""A store as a whole: what it holds, what no study needs, whether all of it is intact."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from assay.core import AssayError, Column, Page, Paragraph, Shown, Table, page, say
from assay.plan._intact import problem_of
from assay.plan._store import Store, _if_free, read_root

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

    ``work_folders`` are attempts that nobody goes on with, leftovers of interrupted deletions, and corrupt
    objects that were set aside.
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
    keys, corrupt, n_bytes = store.completed(), [], 0
    for key in keys:
        n_bytes += _size(store.place(key))
        problem = problem_of(store.place(key), anew=True, strict=True)
        if problem is not None:
            corrupt.append(CorruptObject(key, store.label(key), problem))
            if repair:
                store.set_aside(key)
    return StoreCheck(
        place=str(store.root),
        objects=len(keys),
        bytes=n_bytes,
        corrupt=tuple(corrupt),
        set_aside=len(list(store.root.glob("corrupt/*"))),
        unreadable=tuple(str(path) for path in sorted(store.root.glob("roots/*.json")) if not _is_root(path)),
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
    sizes = {key: _size(store.place(key)) for key in store.completed()}
    studies = tuple(
        StudyStatus(name, len(keys), sum(k in sizes for k in keys), sum(sizes.get(k, 0) for k in keys))
        for name, keys in store.roots().items()
    )
    return StoreStatus(str(store.root), studies, len(sizes), sum(sizes.values()), _unfinished(store))


def _unfinished(store: Store) -> int:
    return sum(p.is_dir() and _KEY.fullmatch(p.name) is not None for p in (store.root / "work").glob("*"))


def collect_garbage(store: Store, *, forget: Iterable[str] = (), dry_run: bool = True) -> GarbageReport:
    """Count (or with ``dry_run=False`` delete) what no registered study and no running process needs.

    ``forget`` drops studies first.  Studies register before they look for what is there, under the lock that
    is held here, so that none finds an object which is deleted then.
    """
    _needs_store(store)
    with store.roots_locked():
        roots = store.roots()
        for name in forget:
            if name not in roots:
                known = ", ".join(roots) or "none"
                raise AssayError("no such study", place="--forget", value=name, expected=f"one of: {known}")
            del roots[name]
            if not dry_run:
                (store.root / "roots" / f"{name}.json").unlink()
        wanted = {key for keys in roots.values() for key in keys} | store.held()
        return _collected(store, wanted, dry_run=dry_run)


def _collected(store: Store, wanted: set[str], *, dry_run: bool) -> GarbageReport:
    objects, folders, n_bytes = 0, 0, 0
    for key in (key for key in store.completed() if key not in wanted):
        size = _size(store.place(key))
        if dry_run or _unlocked(store, key, discard=True):
            objects, n_bytes = objects + 1, n_bytes + size
    for folder in [*(store.root / "work").iterdir(), *store.root.glob("corrupt/*")]:
        if not folder.is_dir() or folder.name in wanted:
            continue
        size = _size(folder)
        if _unlocked(store, folder.name) if _KEY.fullmatch(folder.name) else True:
            folders, n_bytes = folders + 1, n_bytes + size
            if not dry_run:
                _remove(store, folder)
    return GarbageReport(objects, folders, n_bytes, not dry_run)


def _unlocked(store: Store, key: str, *, discard: bool = False) -> bool:
    """Say whether no process works at a key (and then discard its object while none can begin)."""
    lock = store.root / "work" / f"{key}.lock"
    with _if_free(lock) as free:
        if free:
            if discard:
                store.discard(key)
            if not store.work(key).exists():
                lock.unlink(missing_ok=True)
        return free


def _remove(store: Store, folder: Path) -> None:
    """Delete a work folder under its lock, and the lock with it."""
    if _KEY.fullmatch(folder.name) is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    lock = folder.with_name(f"{folder.name}.lock")
    with _if_free(lock) as free:
        if free:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _needs_store(store: Store) -> None:
    if not (store.root / "objects").is_dir():
        raise AssayError(
            "no store here",
            place=str(store.root),
            expected="a folder made by `assay study run` or `assay demo`",
            hint="give --store FOLDER, or run from the folder where the study ran",
        )
