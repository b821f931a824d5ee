"""An S3-compatible bucket: small objects put under conditions, and files; every failure with a remedy."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from assay.core import AssayError

T = TypeVar("T")

_WAITS: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before a request that failed in passing is sent again."""
_AT_ONCE, _MOST_DELETED = 3, 1000
_HELD, _GONE = (412,), (404, 412)
"""What a server answers where a condition does not hold, or the object is not there."""
_ADDRESS = re.compile(r"s3a?:/{1,3}(?P<bucket>[a-zA-Z0-9][\w.\-]{1,62})(?P<prefix>(/[\w.\-=+ ]+)*)/*")


def url_of(place: Path | str) -> str | None:
    """Return the URL that a store's place is, also one that a ``Path`` has shortened; None for a folder.

    Raises :class:`AssayError` for other protocols, and for a URL that holds more than bucket and prefix.
    """
    text = str(place)
    protocol = re.match(r"([a-zA-Z][a-zA-Z0-9+.\-]+):/", text)
    if protocol is None:
        return None
    match = _ADDRESS.fullmatch(text)
    if match is None:  # what it holds may be a password: it is not repeated
        raise AssayError(
            "no such store", place="where.store", value=f"{protocol[1]}://…",
            expected="a folder, or s3://bucket/prefix",
            hint="credentials and the endpoint come from the environment (AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL)",
        )  # fmt: skip
    return f"s3://{match['bucket']}{match['prefix']}"


@dataclass(frozen=True, slots=True)
class Seen:
    """An object of a bucket: its version, size in bytes, and when it was written, by the server's clock."""

    etag: str
    size: int
    modified: datetime


class Bucket:
    """What lies under one URL.  Names are relative to it.

    Requests that fail in passing (no connection, a busy server) are sent again for half a minute, and for a
    second once that was in vain; what fails then, or for good, raises :class:`AssayError` with the URL and
    what to do.  ``now``: the server's clock at the last listing.
    """

    def __init__(self, url: str) -> None:
        self.url, self.now, self.waits = url, datetime.min, _WAITS
        self.bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.fs = _file_system(os.getpid(), *sorted(pair for pair in os.environ.items() if "AWS_" in pair[0]))

    def create(self, name: str, data: bytes) -> bytes:
        """Write an object unless it is there, and return what is there then."""
        while True:
            # One that is there may be our own, of a request whose answer was lost.
            there = data if self.put(name, data, IfNoneMatch="*") else self.read(name)
            if there is not None:
                return there

    def put(self, name: str, data: bytes, **condition: str) -> str | None:
        """Write an object and return its version; None where the condition does not hold."""
        sent = {"Key": self.prefix + name, "Body": data, **condition}
        found = self._asked(lambda: self._call("put_object", **sent), _GONE if condition else ())
        return None if found is None else str(found["ETag"])

    def read(self, name: str) -> bytes | None:
        """Return what an object holds; None where there is none."""
        path = f"{self.bucket}/{self.prefix}{name}"
        found: bytes | None = self._asked(lambda: self.fs.cat_file(path, max_concurrency=1), _GONE)
        return found

    def version(self, name: str) -> str | None:
        """Return the version of an object; None where there is none."""
        found = self._asked(lambda: self._call("head_object", Key=self.prefix + name), _GONE)
        return None if found is None else str(found["ETag"])

    def names(self, start: str) -> dict[str, Seen]:
        """Return the objects whose names start so."""
        found: dict[str, Seen] = {}
        more: dict[str, str] = {}
        while True:
            asked = {"Prefix": self.prefix + start, **more}
            page: Any = self._asked(lambda: self._call("list_objects_v2", **asked))  # noqa: B023 - at once
            self.now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
            for row in page.get("Contents", ()):
                seen = Seen(row["ETag"], row["Size"], row["LastModified"])
                found[row["Key"].removeprefix(self.prefix)] = seen
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def remove(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there are no error."""
        keys = [{"Key": self.prefix + name} for name in names]
        for at in range(0, len(keys), _MOST_DELETED):
            some = {"Objects": keys[at : at + _MOST_DELETED], "Quiet": True}
            self._asked(lambda: self._call("delete_objects", Delete=some))  # noqa: B023 - called at once

    def upload(self, files: Mapping[Path, str]) -> None:
        """Write files as objects."""
        self._files(self.fs.put, list(map(str, files)), self._paths(files.values()))

    def download(self, files: Mapping[Path, str]) -> bool:
        """Write objects as files; return whether all of them are there."""
        return self._files(self.fs.get, self._paths(files.values()), list(map(str, files)))

    def _files(self, move: Callable[..., Any], sources: list[str], targets: list[str]) -> bool:
        asked = self._asked(lambda: (move(sources, targets, batch_size=_AT_ONCE), "moved"), _GONE)
        return asked is not None

    def _paths(self, names: Iterable[str]) -> list[str]:
        return [f"{self.bucket}/{self.prefix}{name}" for name in names]

    def _call(self, method: str, **sent: Any) -> Any:
        return self.fs.call_s3(method, Bucket=self.bucket, **sent)

    def _asked(self, call: Callable[[], T], empty: Collection[int] = ()) -> T | None:
        """Return what a request gives; None where the server answers with one of the numbers in ``empty``."""
        for wait in (*self.waits, None):
            try:
                found = call()
                self.waits = _WAITS
                return found
            except Exception as error:
                status, code = _answer(error)
                if status in empty and code != "NoSuchBucket":
                    return None
                passing = _in_passing(error, status, code)
                if wait is None or not passing:
                    # Of a server that is gone the next request finds that out sooner.
                    self.waits = _WAITS[:1] if passing else _WAITS
                    raise _told(error, status, code, self.url) from None
            time.sleep(wait * random.uniform(0.5, 1.0))
        raise AssertionError


@cache
def _file_system(process: int, *settings: tuple[str, str]) -> Any:
    """Return S3 as fsspec has it for a process, with settings of the environment alone."""
    try:
        import fsspec
        import s3fs
    except ImportError:
        raise AssayError(
            "a store in a bucket needs the package s3fs", place="where.store",
            hint='pip install "instruct-assay[s3]"',
        ) from None  # fmt: skip
    patience = {"retries": {"max_attempts": 2, "mode": "standard"}, "connect_timeout": 10, "read_timeout": 60}
    made: s3fs.S3FileSystem = fsspec.filesystem(
        "s3", use_listings_cache=False, skip_instance_cache=True, max_concurrency=_AT_ONCE,
        config_kwargs=patience,
    )  # fmt: skip
    made.retries = 2  # ours are more patient
    return made


def _answer(error: BaseException | None) -> tuple[int, str]:
    """Return the number and the code of a server's answer; 0 where it gave none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            with suppress(KeyError):
                code = str(response.get("Error", {}).get("Code", ""))
                return int(response["ResponseMetadata"]["HTTPStatusCode"]), code
        if isinstance(error, FileNotFoundError) and error.__cause__ is None and error.filename is None:
            return 404, ""
        error = error.__cause__
    return 0, ""


def _in_passing(error: BaseException, status: int, code: str) -> bool:
    """Say whether the same request may succeed a little later."""
    import aiohttp
    from botocore import exceptions as boto

    lost = (
        boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, ConnectionError,
        TimeoutError, aiohttp.ClientError,
    )  # fmt: skip
    if status == 0:
        return isinstance(error, lost) or type(error).__name__ == "FSTimeoutError"
    return status >= 500 or status in (408, 429) or code in ("ConditionalRequestConflict", "RequestTimeout")


_REMEDIES: Sequence[tuple[Callable[[int, str], bool], str, str]] = (
    (lambda status, code: code == "NoSuchBucket" or status == 404, "no such bucket",
     "make the bucket, or change where.store (and AWS_ENDPOINT_URL, where the server is not Amazon's)"),
    (lambda status, _: status in (401, 403), "the store's server refuses access",
     "check the credentials of the environment; they need the rights to list, get, put and delete objects"),
    (lambda status, _: status == 501, "the store's server cannot do what a shared store needs",
     "it has to know conditional puts (If-None-Match and If-Match)"),
)  # fmt: skip


def _told(error: BaseException, status: int, code: str, url: str) -> AssayError | BaseException:
    """Return a failure as an error with place and remedy; one that is not the server's as it is."""
    said = f" ({code or status})" if status else f" ({type(error).__name__})"
    for fits, problem, hint in _REMEDIES:
        if fits(status, code):
            return AssayError(problem + said, place=url, hint=hint)
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return AssayError(
            "no credentials for the store" + said, place=url,
            expected="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role",
            hint="set them in the environment of every machine",
        )  # fmt: skip
    if status or _in_passing(error, status, code):
        return AssayError(
            f"the store's server {'answers with an error' if status else 'does not answer'}" + said,
            place=url,
            hint="finished steps are kept, in the store or on this machine: run the same command when it is "
            "back",
        )
    return error
