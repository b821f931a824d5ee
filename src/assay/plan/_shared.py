"""A store that machines share: a folder of each machine as its cache, with a bucket behind it (decision 30).

In the bucket ``objects/ab/<key>`` is the token of an upload and the manifest: that it exists is the only sign
that an object is complete.  ``data/ab/<key>/<token>/<sha256>`` are its files, ``leases/`` who works at what,
``held/`` which processes live and ``wanted/`` what they want, ``roots/`` what studies want, ``doomed/`` what
is being collected.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from assay.core import AssayError, digest, partial_of, replacing
from assay.plan._bucket import Bucket, Seen, url_of
from assay.plan._intact import MANIFEST, forget, problem_of, remember
from assay.plan._lease import LEASE, Lease, Pulse, acquired, read_lease
from assay.plan._step import Step
from assay.plan._store import Store, locked

SHARED = 1
"""Layout of a bucket, in its object ``format``."""
_FRESH, _PART, _PAUSE = 1.0, 0.1, 0.1
"""A listing is trusted for so many seconds, or until making it took this share of its age; a pause."""
_DEAD, _STALE = timedelta(minutes=10), timedelta(days=1)
"""Age by the server's clock of the last sign of a process that died, and of an upload that nothing names."""


_ANY = ("utf-8", "surrogateescape")


class Superseded(BrokenProcessPool):
    """The lease on a step was lost: its attempt counts as one whose worker was killed."""


@dataclass(frozen=True, slots=True)
class _Body:
    """What the bucket has of an object: ``token`` of the upload that holds its files, and its manifest."""

    key: str
    token: str
    manifest: bytes

    @classmethod
    def read(cls, key: str, data: bytes) -> _Body:
        token, _, manifest = data.partition(b"\n")
        return cls(key, token.decode("ascii", "replace"), manifest)

    @property
    def data(self) -> bytes:
        """Return how it is written."""
        return self.token.encode() + b"\n" + self.manifest

    @property
    def place(self) -> str:
        """Return where its files are."""
        return f"data/{self.key[:2]}/{self.key}/{self.token}/"

    def facts(self) -> dict[str, Any]:
        return dict(json.loads(self.manifest))

    def files(self) -> dict[str, str]:
        """Return the object of the bucket that holds each file; ValueError for one outside its folder."""
        files = self.facts()["files"]
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
            raise ValueError("a file outside its folder")
        return {name: self.place + sha for name, (_, sha) in files.items()}


class SharedStore(Store):
    """A store in a bucket; ``root`` is this machine's cache of it.

    Raises :class:`AssayError` where the bucket cannot be reached, refuses, or ignores conditions.
    """

    def __init__(self, url: str, root: Path, *, create: bool = True) -> None:
        """Open (and with ``create`` make) the store at ``url``."""
        super().__init__(root)
        self.address, self.bucket, self.pulse = url, Bucket(url), Pulse()
        self._bodies: dict[str, _Body] = {}
        self._there: set[str] = set()
        self._leases: dict[str, Lease] = {}
        self._silent: dict[str, tuple[str, float]] = {}
        self._versions: dict[str, str] = {}
        self._wanted: set[str] = set()
        self._alive: Lease | None = None
        # Not atexit's: by then Python refuses the threads in which names of servers are looked up.
        threading._register_atexit(self._let_go)  # type: ignore[attr-defined]
        self._until = self._heard = 0.0
        self._met = False
        self.meet(create=create)

    def meet(self, *, create: bool) -> None:
        """Hold the bucket against its layout, and (once) its server against what a shared store needs."""
        if self._met:
            return
        own = f"{SHARED}\n".encode()
        said = self.bucket.create("format", own) if create else self.bucket.read("format") or own
        if not said.strip().isdigit() or int(said) > SHARED:
            raise AssayError(
                "the store was written by a later version of Assay", place=self.address,
                value=said[:20].decode("utf-8", "replace"),
                hint="update Assay, or choose another `where.store`",
            )  # fmt: skip
        ways = ({"IfNoneMatch": "*"}, {"IfMatch": '"0"'}) if create else ()
        if any(self.bucket.put("format", said, **way) for way in ways):
            raise AssayError(
                "the store's server ignores conditions, so that two machines could overwrite each other",
                place=self.address, expected="S3's If-None-Match and If-Match",
                hint="update the server, or share a folder",
            )  # fmt: skip
        self._met = create

    def lasting_address(self) -> str:
        return self.address

    @cached_property
    def _machine(self) -> str:
        """The name of this cache, by which a lease of one of its own processes is known."""
        place = self.root / "machine"
        with suppress(FileExistsError), place.open("x", encoding="ascii") as file:
            file.write(secrets.token_hex(8))
        return place.read_text(encoding="ascii") or str(place)

    # What is there

    def is_there(self) -> bool:
        return self.bucket.version("format") is not None

    def has(self, key: str) -> bool:
        if key in self._bodies or key in self._there:
            return True
        if time.monotonic() > self._until:
            self.completed()
        return key in self._there

    def completed(self) -> list[str]:
        began = time.monotonic()
        self._there = {name.rpartition("/")[2] for name in self.bucket.names("objects/")}
        now = time.monotonic()
        self._until = now + max(_FRESH, (now - began) / _PART)
        return sorted(self._there)

    def sizes(self) -> dict[str, int]:
        found = dict.fromkeys(self.completed(), 0)
        for name, seen in self.bucket.names("data/").items():
            if (key := name.split("/")[2]) in found:
                found[key] += seen.size
        return found

    def sound(self, key: str) -> bool:
        return self.has(key)  # what is in the cache is held against it when it is read

    def _look(self, key: str) -> _Body | None:
        """Return what the bucket has of an object at this moment."""
        self._bodies.pop(key, None)
        data = self.bucket.read(_object(key))
        if data is None:
            self._there.discard(key)
            return None
        self._bodies[key] = _Body.read(key, data)
        return self._bodies[key]

    def _body(self, key: str) -> _Body | None:
        return self._bodies.get(key) or self._look(key)

    def _settled(self, key: str) -> _Body | None:
        """Return what the bucket has of an object, once no collector is undecided about it."""
        end = time.monotonic() + LEASE
        while (body := self._body(key)) is None and time.monotonic() < end:
            if not self.bucket.names("doomed/"):
                return self._look(key)
            time.sleep(_PAUSE)
        return body

    def _look_anew(self) -> None:
        self._bodies.clear()
        self._there.clear()
        self._until = 0.0

    def manifest(self, key: str) -> dict[str, Any]:
        body = self._body(key)
        if body is None:
            raise AssayError("the object is not in the store", place=self.address, value=key)
        return body.facts()

    def label(self, key: str) -> str:
        with suppress(KeyError, TypeError, ValueError):
            if (body := self._body(key)) is not None:
                return "step {name} ({label})".format(**body.facts())
        return super().label(key)

    # Objects from the bucket and to it

    def path(self, key: str) -> Path:
        body = self._settled(key)
        if body is not None and not self._cached(body):
            with locked(self.root / "work" / f"{key}.fetch"):
                if not self._cached(body):
                    self._fetch(body)
                (self.root / "work" / f"{key}.fetch").unlink(missing_ok=True)
        return self.place(key)

    def _cached(self, body: _Body) -> bool:
        """Say whether the cache has an object as the bucket has it."""
        place = self.place(body.key) / MANIFEST
        with suppress(OSError):
            return place.read_bytes() == body.manifest and self.corruption(body.key) is None
        return False

    def _fetch(self, body: _Body) -> None:
        with self._downloaded(body) as (made, problem):
            if problem is not None:
                label, _ = self.label(body.key), self.set_aside(body.key)
                raise AssayError(
                    f"an object of the store is corrupt: {problem}", place=self.address, value=label,
                    hint="run the same command: it is computed again",
                )  # fmt: skip
            place = self.place(body.key)
            Store.discard(self, body.key)
            place.parent.mkdir(exist_ok=True)
            made.rename(place)
            remember(place)

    @contextmanager
    def _downloaded(self, body: _Body) -> Iterator[tuple[Path, str | None]]:
        """Give an object in a folder of its own, and what is wrong with it."""
        made = partial_of(self.root / "fetched" / body.key)
        try:
            made.mkdir(parents=True)
            (made / MANIFEST).write_bytes(body.manifest)
            with suppress(ValueError, KeyError, TypeError):  # then its manifest is what is wrong
                self.bucket.download({made / name: at for name, at in body.files().items()})
            yield made, problem_of(made, anew=True, strict=True)
        finally:
            forget(made)
            shutil.rmtree(made, ignore_errors=True)

    def problem(self, key: str) -> str | None:
        body = self._look(key)
        if body is None:
            return None
        with self._downloaded(body) as (_, problem):
            return problem

    @contextmanager
    def _leased(self, key: str) -> Iterator[None]:
        """Keep other machines from a key in the block, unless it is finished by then."""
        lease = Lease(self.bucket, f"leases/{key}", self._machine, lambda: Store.progress(self, key))
        # The lock of this machine is held.
        if not acquired(lease, lambda: self._look(key) is not None, alone=True):
            yield
            return
        with self._kept(key, lease):
            if self.place(key).is_dir():  # finished when the server was gone, or collected there
                if self.corruption(key) is None:
                    self._publish(key)
                else:
                    Store.discard(self, key)
            yield

    def commit(self, key: str, facts: dict[str, Any]) -> None:
        super().commit(key, facts)
        self._publish(key)

    def _publish(self, key: str) -> None:
        """Upload an object of the cache, unless another machine was first."""
        lease, place = self._leases[key], self.place(key)
        own = _Body(key, lease.token, (place / MANIFEST).read_bytes())
        files = own.files()
        self.bucket.upload({place / name: at for name, at in files.items()})
        there = own.data
        if lease.renew():
            there = self.bucket.create(_object(key), own.data)
            self._bodies[key] = _Body.read(key, there)
        if lease.lost or there != own.data:
            self.bucket.remove(files.values())
        if lease.lost:
            raise Superseded(f"the lease on {self.label(key)} was lost: another machine has taken it over")

    def set_aside(self, key: str) -> Path | None:
        body = self._look(key)
        if body is not None:
            self.bucket.put(f"corrupt/{key}.{body.token}", body.data)
            self.bucket.remove([_object(key)])
            self._look(key)
        Store.discard(self, key)
        return None

    def aside(self) -> int:
        return len(self.bucket.names("corrupt/"))

    def discard(self, key: str) -> None:
        self.bucket.remove([_object(key)])
        self.bucket.remove(self.bucket.names(f"data/{key[:2]}/{key}/"))
        self._look(key)
        super().discard(key)

    # Who works at what

    def busy(self, key: str) -> bool:
        return super().busy(key) or f"leases/{key}" in self._living()

    def progress(self, key: str) -> tuple[float, float, str] | None:
        if super().busy(key):
            return super().progress(key)
        said: Any = read_lease(self.bucket, f"leases/{key}").get("said")
        with suppress(ValueError, TypeError):
            done, total, note = said
            return float(done), float(total), str(note)
        return None

    def _living(self) -> set[str]:
        """Return the leases that were renewed while this process watched, or that it sees first."""
        now, before = time.monotonic(), self._silent
        if now > self._heard + _FRESH:
            seen = {name: one.etag for name, one in self.bucket.names("leases/").items()}
            same = {name: before[name] for name, etag in seen.items() if before.get(name, "")[:1] == (etag,)}
            self._silent = {name: (etag, now) for name, etag in seen.items()} | same
            self._heard = time.monotonic()
        return {name for name, (_, since) in self._silent.items() if now - since <= LEASE}

    # What is wanted, and what is not

    def root_files(self) -> list[Path]:
        """Return the lists of wanted keys, as the bucket has them now."""
        folder, seen = self.root / "roots", self.bucket.names("roots/")
        for name, one in seen.items():
            path = folder / name.partition("/")[2]
            if self._versions.get(path.name) != one.etag or not path.exists():
                with replacing(path) as partial:
                    partial.write_bytes(self.bucket.read(name) or b"[]")
        self._versions = {name.partition("/")[2]: one.etag for name, one in seen.items()}
        for path in super().root_files():
            if path.name not in self._versions:
                path.unlink(missing_ok=True)
        return super().root_files()

    def register(self, name: str, targets: Sequence[Step], owner: str = "") -> Path:
        while True:
            self.root_files()
            path = super().register(name, targets, owner)
            version = self._versions.get(path.name)
            way = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
            if etag := self.bucket.put(f"roots/{path.name}", path.read_bytes(), **way):
                self._versions[path.name] = etag
                return path

    def forget_study(self, name: str) -> None:
        self.bucket.remove([f"roots/{name}.json"])
        super().forget_study(name)

    @contextmanager
    def holding(self, keys: Iterable[str]) -> Iterator[None]:
        keys = set(keys)
        with super().holding(keys):
            self._hold(keys)
            self._look_anew()  # what was there before may have been collected
            yield

    def _hold(self, keys: set[str]) -> None:
        """Write down that this process lives, and wants these keys too."""
        if self._alive is None or not self._alive.renew():  # not yet, or it was taken for dead
            self._alive = Lease(self.bucket, f"held/{secrets.token_hex(8)}", self._machine)
            self.bucket.put(_keys_of(self._alive.name), _lines(self._wanted | keys))
            self._alive.take(None)
            self.pulse.add(self._alive)
        elif not keys <= self._wanted:
            self.bucket.put(_keys_of(self._alive.name), _lines(self._wanted | keys))
        self._wanted |= keys

    def _let_go(self) -> None:
        """Want nothing any more, as this process ends."""
        self.bucket.waits = ()  # if the server is gone, others will notice
        with suppress(Exception):
            if self._alive is not None:
                self.bucket.remove([_keys_of(self._alive.name), self._alive.name])

    def held(self) -> set[str]:
        own = "" if self._alive is None else self._alive.name
        living = self._fresh(self.bucket.names("held/"))
        wanted = super().held()
        for name in living:
            if name != own:
                wanted |= set((self.bucket.read(_keys_of(name)) or b"").decode("ascii").split())
        leases = self._fresh(self.bucket.names("leases/"))
        return wanted | {name.partition("/")[2] for name in leases}

    def _fresh(self, seen: dict[str, Seen], age: timedelta | None = None) -> list[str]:
        most = _DEAD if age is None else age
        return [name for name, one in seen.items() if self.bucket.now - one.modified < most]

    @contextmanager
    def collecting(self) -> Iterator[None]:
        with super().collecting():
            lease = Lease(self.bucket, "leases/gc", self._machine)
            acquired(lease, lambda: False, alone=True)
            with self._kept("gc", lease):
                yield

    @contextmanager
    def _kept(self, key: str, lease: Lease) -> Iterator[None]:
        """Renew a lease in the block, and give it back at the end."""
        self._leases[key] = lease
        self.pulse.add(lease)
        try:
            yield
        finally:
            self.pulse.leases.discard(lease)
            lease.release()
            self._leases.pop(key, None)

    def drop(self, keys: Iterable[str], wanted: Callable[[], set[str]]) -> list[str]:
        asked = [body for key in keys if (body := self._look(key)) is not None]
        record = f"doomed/{secrets.token_hex(8)}"
        self.bucket.put(record, json.dumps({b.key: b.data.decode(*_ANY) for b in asked}).encode())
        # Those of a collector that was killed as well.
        doomed = {name: json.loads(self.bucket.read(name) or b"{}") for name in self.bucket.names("doomed/")}
        bodies = [body for rows in doomed.values() for body in _undecided(rows)]
        self.bucket.remove([_object(body.key) for body in bodies if self._look(body.key) == body])
        self._look_anew()
        kept = wanted()
        if not self._leases["gc"].renew():
            raise AssayError("another process has taken over the collection", place=self.address)
        for name, rows in doomed.items():
            self._decide(name, rows, kept)
        self._trim(kept)
        return [body.key for body in asked if body.key not in kept]

    def _decide(self, record: str, rows: Any, kept: set[str]) -> None:
        """Put back what is wanted after all, and delete the files of the rest."""
        files = list(rows) if isinstance(rows, list) else []
        for body in _undecided(rows):
            if body.key not in kept or self.bucket.create(_object(body.key), body.data) != body.data:
                files += self.bucket.names(body.place)
        # From here on none of them is put back, whoever goes on with this.
        self.bucket.put(record, json.dumps(files).encode())
        self.bucket.remove([*files, record])

    def _trim(self, kept: set[str]) -> None:
        """Remove from the cache what is in the bucket no longer."""
        for key in set(Store.completed(self)) - kept - set(self.completed()):
            if self.unlocked(key):
                Store.discard(self, key)

    def orphans(self, *, remove: bool) -> tuple[int, int]:
        """Return how many old uploads, of how many bytes, no manifest names; with ``remove`` they go.

        So does what processes left that died.
        """
        there = set(self.completed())
        uploads: dict[tuple[str, str], dict[str, Seen]] = {}
        for name, one in self.bucket.names("data/").items():
            _, _, key, token, _ = name.split("/")
            uploads.setdefault((key, token), {})[name] = one
        counts = Counter(key for key, _ in uploads)
        several = [key for key, count in counts.items() if count > 1 and key in there]
        used = {key: body.token for key in several if (body := self._look(key)) is not None}
        old = {
            upload: files
            for upload, files in uploads.items()
            if (upload[0] not in there or used.get(upload[0], upload[1]) != upload[1])
            and not self._fresh(files, _STALE)
        }
        if remove:
            self.bucket.remove(name for files in old.values() for name in files)
            self._bury()
        return len(old), sum(one.size for files in old.values() for one in files.values())

    def _bury(self) -> None:
        """Remove what processes left that died: what they wanted, and leases that nobody took over."""
        held, leases = self.bucket.names("held/"), self.bucket.names("leases/")
        dead = set(held) - set(self._fresh(held))
        self.bucket.remove([*map(_keys_of, dead), *dead])
        self.bucket.remove(set(leases) - set(self._fresh(leases, _STALE)))


def _keys_of(held: str) -> str:
    """Return the object that lists what a process wants; servers with folders have no file in a file."""
    return held.replace("held/", "wanted/", 1)


def _lines(keys: Iterable[str]) -> bytes:
    return "\n".join(sorted(keys)).encode()


def _undecided(rows: Any) -> list[_Body]:
    """Return the objects of a collector's record of which it has not decided yet."""
    pairs = rows.items() if isinstance(rows, dict) else ()
    return [_Body.read(key, data.encode(*_ANY)) for key, data in pairs]


def _object(key: str) -> str:
    return f"objects/{key[:2]}/{key}"


def local_folder(place: Path | str) -> Path:
    """Return the folder of a store on this machine: itself, or its cache where it is in a bucket.

    The cache is in ``ASSAY_CACHE``, by default ``assay`` in the user's cache folder.
    """
    url = url_of(place)
    if url is None:
        return Path(place)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return Path(os.environ.get("ASSAY_CACHE") or home).absolute() / digest([url, server])[:16]


def open_store(place: Path | str, *, create: bool = True) -> Store:
    """Return the store at a folder or an URL (``s3://bucket/prefix``); see :class:`Store` for what it raises.

    A process opens each bucket once.
    """
    url = url_of(place)
    if url is None:
        return Store(Path(place), create=create)
    store = _opened(url, local_folder(url), os.getpid())
    store.meet(create=create)
    return store


@cache
def _opened(url: str, root: Path, process: int) -> SharedStore:
    """Return the store that a process has open; one that was forked opens its own."""
    return SharedStore(url, root, create=False)
