"""The content-addressed store: a folder whose existence means that a step is complete.

``objects/ab/<key>/`` are results, ``work/<key>/`` attempts under way (each under a lock that the kernel frees
when its holder is killed), ``roots/<study>.json`` the keys that a study wants.  A commit writes the manifest,
fsyncs every file, and renames the folder; a kill at any moment leaves either no object or a whole one.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import AssayError, file_digest
from assay.plan._step import Step, in_order

MANIFEST = "manifest.json"


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


@dataclass(frozen=True, slots=True)
class GarbageReport:
    """Objects and work folders that no registered study needs, and whether they were deleted."""

    objects: int
    work_folders: int
    bytes: int
    deleted: bool


class Store:
    """A store on disk.

    Raises :class:`AssayError` if ``root`` is a file, or absent and ``create`` is false and it is asked for
    an object.
    """

    def __init__(self, root: Path, *, create: bool = True) -> None:
        """Open (and with ``create`` make) the store at ``root``."""
        self.root = root
        if root.exists() and not root.is_dir():
            raise AssayError(
                "the store is not a folder", place=str(root), hint="choose another `where.store`"
            )
        if create:
            try:
                for name in ("objects", "work", "roots"):
                    (root / name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise AssayError(
                    f"the store cannot be written ({error.strerror})",
                    place=str(root),
                    hint="choose another `where.store`, or mend the folder's permissions",
                ) from None

    def path(self, key: str) -> Path:
        """Return the folder of an object, whether or not it exists."""
        return self.root / "objects" / key[:2] / key

    def work(self, key: str) -> Path:
        """Return the folder of attempts at an object."""
        return self.root / "work" / key

    def has(self, key: str) -> bool:
        """Say whether an object is complete."""
        return self.path(key).is_dir()

    def manifest(self, key: str) -> dict[str, Any]:
        """Return the manifest of an object."""
        loaded: dict[str, Any] = json.loads((self.path(key) / MANIFEST).read_text(encoding="utf-8"))
        return loaded

    @contextmanager
    def attempt(self, key: str) -> Iterator[Path | None]:
        """Hold the lock of a key and give its work folder; None if another process finished it meanwhile.

        The lock file stands beside the work folder, so that it does not move with the commit.
        """
        lock = self.root / "work" / f"{key}.lock"
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if self.has(key):
                yield None
                return
            self.work(key).mkdir(exist_ok=True)
            yield self.work(key)

    def commit(self, key: str, facts: dict[str, Any]) -> None:
        """Turn the work folder of ``key`` into its object."""
        work, target = self.work(key), self.path(key)
        shutil.rmtree(work / "scratch", ignore_errors=True)
        for leftover in [*work.rglob("*.partial"), work / "error.txt", work / "progress.json"]:
            leftover.unlink(missing_ok=True)
        files = sorted(p for p in work.rglob("*") if p.is_file() and p.name != MANIFEST)
        listed = {str(p.relative_to(work)): [p.stat().st_size, file_digest(p)] for p in files}
        manifest = work / MANIFEST
        manifest.write_text(json.dumps({**facts, "files": listed}, ensure_ascii=False, indent=1), "utf-8")
        for path in (*files, manifest, *(p for p in work.rglob("*") if p.is_dir()), work):
            _sync(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        work.rename(target)
        _sync(target.parent)

    def completed(self) -> list[str]:
        """Return the keys of all complete objects."""
        return sorted(p.name for p in self.root.glob("objects/??/*") if p.is_dir())

    def verify(self) -> list[str]:
        """Re-digest every file and return the keys of objects that are not what their manifest says."""
        return [key for key in self.completed() if not self._intact(key)]

    def _intact(self, key: str) -> bool:
        folder = self.path(key)
        try:
            listed = self.manifest(key)["files"]
            found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
            return found == set(listed) and all(
                [(folder / n).stat().st_size, file_digest(folder / n)] == entry for n, entry in listed.items()
            )
        except (OSError, ValueError, KeyError):
            return False

    def discard(self, key: str) -> None:
        """Remove an object: it will be computed again when needed."""
        doomed = self.root / "work" / f"{key}.discarded"
        if self.has(key):
            self.path(key).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def register(self, name: str, targets: Sequence[Step], owner: str = "") -> None:
        """Write down which keys a study wants, so that garbage collection keeps them.

        Studies of one name but of other ``owner`` digests are kept apart: the second's name ends in its own.
        """
        path = self.root / "roots" / f"{name}.json"
        if path.exists() and _root(path)["owner"] != owner:
            path = path.with_name(f"{name} {owner[:8]}.json")
        partial = path.with_suffix(f".{os.getpid()}.partial")
        root = {"owner": owner, "keys": [step.key for step in in_order(targets)]}
        partial.write_text(json.dumps(root), encoding="utf-8")
        partial.replace(path)

    def roots(self) -> dict[str, list[str]]:
        """Return the registered studies with the keys that each wants."""
        paths = sorted(self.root.glob("roots/*.json"))
        return {p.stem: _root(p)["keys"] for p in paths}


def _root(path: Path) -> dict[str, Any]:
    """Return what a root file says; first versions wrote a list of keys."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {"owner": "", "keys": found} if isinstance(found, list) else found


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def status(store: Store) -> StoreStatus:
    """Return the studies of a store and how far each has come."""
    _needs_store(store)
    sizes = {key: _size(store.path(key)) for key in store.completed()}
    studies = tuple(
        StudyStatus(name, len(keys), sum(k in sizes for k in keys), sum(sizes.get(k, 0) for k in keys))
        for name, keys in store.roots().items()
    )
    unfinished = sum(p.is_dir() for p in (store.root / "work").iterdir())
    return StoreStatus(str(store.root), studies, len(sizes), sum(sizes.values()), unfinished)


def collect_garbage(store: Store, *, forget: Iterable[str] = (), dry_run: bool = True) -> GarbageReport:
    """Count (or with ``dry_run=False`` delete) what no registered study needs.

    ``forget`` drops studies first.  Work folders in use by a running process are left alone.
    """
    _needs_store(store)
    roots = store.roots()
    for name in forget:
        if name not in roots:
            known = ", ".join(roots) or "none"
            raise AssayError("no such study", place="--forget", value=name, expected=f"one of: {known}")
        del roots[name]
        if not dry_run:
            (store.root / "roots" / f"{name}.json").unlink()
    wanted = {key for keys in roots.values() for key in keys}
    objects = [key for key in store.completed() if key not in wanted]
    idle = [p for p in (store.root / "work").iterdir() if p.is_dir() and p.name not in wanted and _idle(p)]
    n_bytes = sum(_size(store.path(key)) for key in objects) + sum(_size(p) for p in idle)
    if not dry_run:
        for key in objects:
            store.discard(key)
        for folder in idle:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
    return GarbageReport(len(objects), len(idle), n_bytes, not dry_run)


def _idle(work: Path) -> bool:
    """Say whether no process holds the lock of a work folder."""
    lock = work.with_name(f"{work.name}.lock")
    if not lock.exists():
        return True
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
