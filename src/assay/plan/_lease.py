"""Leases in a bucket: who works at something, renewed while they live, taken over when they fall silent."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from assay.core import AssayError
from assay.plan._bucket import Bucket

LEASE, BEAT = 120.0, 20.0
"""Seconds of silence after which a lease may be taken over, and between renewals."""
_POLL = 2.0


class Lease:
    """The right to work at one thing.

    ``owner``: the cache of the machine; ``token``: this holder alone; ``said``: what the holder says of how
    far it is, for others to see.
    """

    def __init__(self, bucket: Bucket, name: str, owner: str, said: Callable[[], Any] = lambda: None) -> None:
        self.bucket, self.name, self.owner, self.said = bucket, name, owner, said
        self.token, self.beats, self.etag = secrets.token_hex(8), 0, ""
        self.lost = False
        self._lock = threading.Lock()

    def _text(self) -> bytes:
        # Counted, so that no two versions are alike.
        self.beats += 1
        row = {"owner": self.owner, "token": self.token, "beat": self.beats, "said": self.said()}
        return json.dumps(row).encode()

    def _put(self, **condition: str) -> bool:
        etag = self.bucket.put(self.name, self._text(), **condition)
        if etag is None and read_lease(self.bucket, self.name).get("token") == self.token:
            etag = self.bucket.version(self.name)  # written by a request whose answer was lost
        self.etag = etag or ""
        return etag is not None

    def take(self, seen: str | None) -> bool:
        """Take what nobody holds (None), or what is held still in the version that was seen."""
        return self._put(IfNoneMatch="*") if seen is None else self._put(IfMatch=seen)

    def renew(self) -> bool:
        """Say that its holder lives; return whether the lease is still its own."""
        with self._lock:
            self.lost = self.lost or not self._put(IfMatch=self.etag)
            return not self.lost

    def release(self) -> None:
        """Give it back, if it is its own."""
        with suppress(AssayError):  # then it ends by its silence
            if self.renew():
                self.lost = True
                self.bucket.remove([self.name])


def read_lease(bucket: Bucket, name: str) -> dict[str, Any]:
    """Return what the holder of a lease wrote; nothing where there is none."""
    with suppress(ValueError):
        return dict(json.loads(bucket.read(name) or b"{}"))
    return {}


def acquired(lease: Lease, done: Callable[[], bool], *, alone: bool = False) -> bool:
    """Wait for a lease, and return whether it was taken; no longer than until ``done``.

    ``alone``: who asks knows that no other process of its machine holds it, so that one of its own cache is
    of a process that was killed.
    """
    seen, since, wait = "", time.monotonic(), 0.05
    while not done():
        now = lease.bucket.version(lease.name)
        if now != seen:
            seen, since = now or "", time.monotonic()
            dead = now is None or (alone and read_lease(lease.bucket, lease.name).get("owner") == lease.owner)
        if (dead or time.monotonic() - since > LEASE) and lease.take(now):
            if not done():  # finished between the two looks
                return True
            lease.release()
            return False
        time.sleep(wait)
        wait = min(wait * 1.5, _POLL)
    return False


class Pulse:
    """Renews leases in the background, for as long as the process lives."""

    def __init__(self) -> None:
        self.leases: set[Lease] = set()
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        """Renew a lease from now on."""
        self.leases.add(lease)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="assay-leases", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(BEAT)
            for lease in list(self.leases):
                with suppress(Exception):  # the next beat tries again, if the process lives
                    lease.renew()
