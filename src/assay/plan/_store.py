"""The content-addressed store: a folder whose existence means that a step is complete.

``objects/ab/<key>/`` are results, ``work/<key>/`` attempts under way (each under a lock that the kernel frees
when its holder is killed), ``roots/<study>.json`` the keys that a study wants, ``held/`` those that running
processes want, ``corrupt/`` objects that were not what their manifest says.  A commit writes the manifest,
fsyncs every file, and renames the folder; a kill at any moment leaves either no object or a whole one.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from assay.core import AssayError, expected_failures, file_digest, read_json, replacing
from assay.plan._intact import MANIFEST, forget, listed, problem_of, remember
from assay.plan._step import Step, in_order

_FOLDERS = ("objects", "work", "roots", "held")
FORMAT = 2
"""Layout of a store, in its file ``format``.  1 is that of Assay 0.1.0, which wrote no such file: its objects
are read as they are, its lists of keys until a study writes its own."""


class Store:
    """A store on disk.

    ``root``: its folder; ``address``: what :func:`assay.plan.open_store` opens.

    Raises :class:`AssayError` if ``root`` is a file, or absent and ``create`` is false and it is asked for
    an object.
    """

    def __init__(self, root: Path, *, create: bool = True) -> None:
        """Open (and with ``create`` make) the store at ``root``."""
        self.root = root
        self.address = str(root)
        if root.exists() and not root.is_dir():
            raise AssayError(
                "the store is not a folder", place=str(root), hint="choose another `where.store`"
            )
        if create:
            try:
                for name in _FOLDERS:
                    (root / name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise AssayError(
                    f"the store cannot be written ({error.strerror})",
                    place=str(root),
                    hint="choose another `where.store`, or change the folder's permissions",
                ) from None
        self._check_format(create=create)

    def _check_format(self, *, create: bool) -> None:
        """Write down the layout of a store that does not say it; refuse one that a later version wrote."""
        place = self.root / "format"
        try:
            said = place.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            if create:
                with expected_failures(str(place)), replacing(place) as partial:
                    partial.write_text(f"{FORMAT}\n", encoding="utf-8")
            return
        if not said.isdecimal() or int(said) > FORMAT:
            raise AssayError(
                "the store was written by a later version of Assay", place=str(place), value=said,
                expected=f"a layout of at most {FORMAT}",
                hint="update Assay, or choose another `where.store`",
            )  # fmt: skip

    def lasting_address(self) -> str:
        """Return an address that opens the store from any folder."""
        return str(self.root.resolve())

    def place(self, key: str) -> Path:
        """Return the folder of an object, whether or not it exists; nothing is read."""
        return self.root / "objects" / key[:2] / key

    def path(self, key: str) -> Path:
        """Return the folder of an object that is to be read, whether or not it exists.

        What is there is held against its manifest: sizes each time, digests once per process.  An object that
        is not what was written is set aside, so that the same command computes it again, and raises
        :class:`AssayError`.
        """
        found = self.corruption(key)
        if found is not None:
            self.set_aside(key)
            raise AssayError(
                f"an object of the store is corrupt: {found}",
                place=str(self.place(key)),
                value=self.label(key),
                hint="run the same command: it is computed again; the corrupt one is kept in "
                f"{self.root / 'corrupt'}",
            )
        return self.place(key)

    def corruption(self, key: str) -> str | None:
        """Return what is wrong with an object; None for one that is intact or absent."""
        folder = self.place(key)
        return problem_of(folder) if folder.is_dir() else None

    def label(self, key: str) -> str:
        """Return by which step an object was made, for people; its key where it does not say."""
        for folder in (self.place(key), *self.root.glob(f"corrupt/{key}.*")):
            try:
                manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
                return f"step {manifest['name']} ({manifest['label']})"
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return f"object {key[:12]}"

    def set_aside(self, key: str) -> Path | None:
        """Move an object away from those that are read; None where another process did so."""
        target = self.root / "corrupt" / f"{key}.{secrets.token_hex(4)}"
        forget(self.place(key))
        with expected_failures(str(self.place(key))):
            target.parent.mkdir(exist_ok=True)
            try:
                self.place(key).rename(target)
            except FileNotFoundError:
                return None
        return target

    def aside(self) -> int:
        """Return how many objects were set aside."""
        return len(list(self.root.glob("corrupt/*")))

    def work(self, key: str) -> Path:
        """Return the folder of attempts at an object."""
        return self.root / "work" / key

    def has(self, key: str) -> bool:
        """Say whether an object is complete."""
        # Of every open step at every look: a Path would take ten times as long.
        return os.path.isdir(f"{self.root}/objects/{key[:2]}/{key}")  # noqa: PTH112

    @contextmanager
    def at_work(self, name: str) -> Iterator[None]:
        """Be :meth:`busy` by this name in the block; several processes may be so at once."""
        with (self.root / "work" / f"{name}.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield

    def progress(self, key: str) -> tuple[float, float, str] | None:
        """Return how far the attempt at an object is (done, total, note); None where it does not say."""
        try:
            done, total, note = json.loads((self.work(key) / "progress.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return float(done), float(total), str(note)

    def busy(self, key: str) -> bool:
        """Say whether a process works at an object: it holds its lock, which the kernel frees with it."""
        path = f"{self.root}/work/{key}.lock"
        return os.path.isfile(path) and not _free(Path(path))  # noqa: PTH113 - as in `has`

    def sound(self, key: str) -> bool:
        """Say whether an object is there and intact; a corrupt one is named on stderr and set aside."""
        if not self.has(key):
            return False
        found = self.corruption(key)
        if found is None:
            return True
        label, target = self.label(key), self.set_aside(key)
        print(
            f"warning: {label} in the store is corrupt ({found}); it is computed again"
            + ("" if target is None else f", the corrupt object is kept in {target}"),
            file=sys.stderr,
        )
        return False

    def manifest(self, key: str) -> dict[str, Any]:
        """Return the manifest of an object."""
        loaded: dict[str, Any] = read_json(self.place(key) / MANIFEST)
        return loaded

    @contextmanager
    def attempt(self, key: str) -> Iterator[Path | None]:
        """Hold the lock of a key and give its work folder; None if another process finished it meanwhile.

        The lock file stands beside the work folder, so that it does not move with the commit.
        """
        with locked(self.root / "work" / f"{key}.lock"), self._leased(key):
            if self.has(key):
                yield None
                return
            self.work(key).mkdir(exist_ok=True)
            yield self.work(key)

    def _leased(self, key: str) -> AbstractContextManager[None]:
        """Keep other machines from a key in the block: there are none."""
        return nullcontext()

    def commit(self, key: str, facts: dict[str, Any]) -> None:
        """Turn the work folder of ``key`` into its object."""
        work, target = self.work(key), self.place(key)
        shutil.rmtree(work / "scratch", ignore_errors=True)
        for leftover in [*work.rglob("*.partial"), work / "error.txt", work / "progress.json"]:
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        files = listed(work)
        named = {str(p.relative_to(work)): [p.stat().st_size, file_digest(p)] for p in files}
        manifest = work / MANIFEST
        manifest.write_text(json.dumps({**facts, "files": named}, ensure_ascii=False, indent=1), "utf-8")
        for path in (*files, manifest, *(p for p in work.rglob("*") if p.is_dir()), work):
            _sync(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        work.rename(target)
        _sync(target.parent)
        remember(target)

    def completed(self) -> list[str]:
        """Return the keys of all complete objects."""
        return sorted(p.name for p in self.root.glob("objects/??/*") if p.is_dir())

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each complete object."""
        return {key: size_of(self.place(key)) for key in self.completed()}

    def problem(self, key: str) -> str | None:
        """Return what is wrong with an object, all of its files digested; None where nothing is."""
        return problem_of(self.place(key), anew=True, strict=True)

    def verify(self) -> list[str]:
        """Re-digest every file and return the keys of objects that are not what their manifest says."""
        return [key for key in self.completed() if self.problem(key)]

    def discard(self, key: str) -> None:
        """Remove an object: it will be computed again when needed."""
        doomed = self.root / "work" / f"{key}.{secrets.token_hex(4)}.discarded"
        forget(self.place(key))
        if self.place(key).is_dir():
            self.place(key).rename(doomed)
        # Also what earlier calls that were killed left.
        for folder in self.root.glob(f"work/{key}.*discarded"):
            shutil.rmtree(folder, ignore_errors=True)

    def drop(self, keys: Iterable[str], wanted: Callable[[], set[str]]) -> list[str]:
        """Discard objects at which nobody works, and return which; ``wanted``: what must be kept, by now."""
        return [key for key in keys if self.unlocked(key, discard=True)]

    def unlocked(self, key: str, *, discard: bool = False) -> bool:
        """Say whether no process works at a key (and then discard its object while none can begin)."""
        lock = self.root / "work" / f"{key}.lock"
        with if_free(lock) as free:
            if free:
                if discard:
                    self.discard(key)
                if not self.work(key).exists():
                    lock.unlink(missing_ok=True)
            return free

    def orphans(self, *, remove: bool) -> tuple[int, int]:
        """Return how many uploads, of how many bytes, belong to nothing: a folder has none."""
        return 0, 0

    def is_there(self) -> bool:
        """Say whether anything has made the store."""
        return (self.root / "objects").is_dir()

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Be the one that collects garbage."""
        with self.roots_locked():
            yield

    @contextmanager
    def roots_locked(self) -> Iterator[None]:
        """Hold the lock under which wanted keys are written down and garbage is collected."""
        with locked(self.root / "roots" / ".lock"):
            yield

    def register(self, name: str, targets: Sequence[Step], owner: str = "") -> Path:
        """Write down which keys a study wants, so that garbage collection keeps them.

        Studies of one name but of other ``owner`` digests are kept apart: the second's name ends in its own.
        """
        path = self.root / "roots" / f"{name}.json"
        with expected_failures(str(path)), self.roots_locked():
            if path.exists() and read_root(path)["owner"] != owner:
                path = path.with_name(f"{name} {owner[:8]}.json")
            with replacing(path) as partial:
                root = {"owner": owner, "keys": [step.key for step in in_order(targets)]}
                partial.write_text(json.dumps(root), encoding="utf-8")
        return path

    def forget_study(self, name: str) -> None:
        """Want the keys of a study no longer."""
        (self.root / "roots" / f"{name}.json").unlink()

    def roots(self) -> dict[str, list[str]]:
        """Return the registered studies with the keys that each wants."""
        return {path.stem: read_root(path)["keys"] for path in self.root_files()}

    def root_files(self) -> list[Path]:
        """Return the files that hold the keys of the registered studies."""
        return sorted(self.root.glob("roots/*.json"))

    @contextmanager
    def holding(self, keys: Iterable[str]) -> Iterator[None]:
        """Keep keys from garbage collection in the block, whether or not a study wants them.

        Other processes leave them alone for as long as this one lives, as it reads its results after a run.
        """
        with expected_failures(str(self.root / "held")), self.roots_locked():
            own = _held(self.root)
            own.add(keys)
            own.runs += 1
        try:
            yield
        finally:
            own.runs -= 1

    def held(self) -> set[str]:
        """Return the keys that living processes want; what the dead left is removed."""
        wanted: set[str] = set()
        for path in self.root.glob("held/*.json"):
            own = _HELD.get((str(self.root.resolve()), os.getpid()))
            if own is not None and own.path.name == path.name:
                wanted |= own.keys if own.runs else set()
            elif _free(path):
                path.unlink(missing_ok=True)
            else:
                wanted |= set(path.read_text(encoding="utf-8").split())
        return wanted


class _Held:
    """The keys that this process wants of one store: a file locked for as long as the process lives."""

    def __init__(self, root: Path) -> None:
        (root / "held").mkdir(exist_ok=True)
        self.path = root / "held" / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self.keys: set[str] = set()
        self.runs = 0
        self.handle = self.path.open("a", encoding="utf-8")
        fcntl.flock(self.handle, fcntl.LOCK_EX)

    def add(self, keys: Iterable[str]) -> None:
        new = set(keys) - self.keys
        self.handle.write("".join(f"{key}\n" for key in sorted(new)))
        self.handle.flush()
        self.keys |= new


_HELD: dict[tuple[str, int], _Held] = {}


def _held(root: Path) -> _Held:
    """Return this process's file; a child that was forked has its own."""
    name = (str(root.resolve()), os.getpid())
    if name not in _HELD or not _HELD[name].path.exists():
        _HELD[name] = _Held(root)
    return _HELD[name]


@contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """Hold a lock file.  One that was deleted by its last holder is no lock any more: a new one is made."""
    while True:
        with path.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _same(handle, path):
                yield handle
                return


def _same(handle: IO[str], path: Path) -> bool:
    try:
        return os.fstat(handle.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


@contextmanager
def if_free(path: Path) -> Iterator[bool]:
    """Hold a lock file if nobody else does, and say so."""
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield _same(handle, path)


def _free(path: Path) -> bool:
    try:
        with if_free(path) as free:
            return free
    except FileNotFoundError:
        return False


def read_root(path: Path) -> dict[str, Any]:
    """Return what a root file says; first versions wrote a list of keys."""
    hint = "delete the file; the study writes it again when it runs"
    found = read_json(path, object, hint=hint)
    root = {"owner": "", "keys": found} if isinstance(found, list) else found
    if isinstance(root, dict) and isinstance(root.get("keys"), list) and isinstance(root.get("owner"), str):
        return root
    raise AssayError("not the keys of a study", place=str(path), expected="an owner and keys", hint=hint)


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
