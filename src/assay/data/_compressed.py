"""Compressed files as one stream of bytes that says where it breaks off."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

STREAM_ERRORS = (EOFError, OSError, zlib.error, lzma.LZMAError)
MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"(\xb5/\xfd": "zstd", b"BZh": "bzip2"}
_OUTPUT = 1 << 20
# A block of 4 KiB grows to 128 MiB at most, whatever a hostile file says.
_ZSTD_INPUT, _INPUT = 1 << 12, 1 << 17
MAX_GROWTH = 200
"""Text shrinks to a tenth, rarely to a fiftieth: a file that grows more was made to fill a disk or a day."""
MOST_UNASKED = 64 << 20
"""Smaller contents may have grown by any factor."""
_CHECKED_EVERY = 1 << 22


class _Frames(io.RawIOBase):
    """Decompresses one stream after another; notices a cut-off end, and anything else behind the last."""

    def __init__(self, raw: IO[bytes], make: Callable[[], Any], *, bounded: bool) -> None:
        self._raw, self._make, self._bounded = raw, make, bounded
        self._frame, self._fed, self._ready = make(), False, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if not self._more():
                return 0
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _more(self) -> bool:
        """Decompress some more; False at the end of the file."""
        if self._bounded and not self._frame.eof and not self._frame.needs_input:
            self._ready = memoryview(self._decompress(b""))
            return True
        block = self._frame.unused_data if self._frame.eof else b""
        block = block or self._raw.read(_INPUT if self._bounded else _ZSTD_INPUT)
        if self._frame.eof:
            while block and not block.strip(b"\0"):  # padding
                block = self._raw.read(_INPUT)
            if block:
                self._frame, self._fed = self._make(), False
        if not block:
            if self._fed and not self._frame.eof:
                raise EOFError("the compressed data is cut off")
            return False
        self._fed = True
        self._ready = memoryview(self._decompress(block))
        return True

    def _decompress(self, block: bytes) -> bytes:
        try:
            found: bytes = (
                self._frame.decompress(block, _OUTPUT) if self._bounded else self._frame.decompress(block)
            )
        except STREAM_ERRORS as error:
            raise OSError(f"the compressed data is damaged: {error}") from None
        except Exception as error:  # zstandard's own kind, which is not imported before it is needed
            if type(error).__name__ != "ZstdError":
                raise
            raise OSError(f"the compressed data is damaged: {error}") from None
        return found


class _Measured(io.RawIOBase):
    """A decompressed stream that ends with an error where it grows beyond :data:`MAX_GROWTH`."""

    def __init__(self, stream: Any, stored: IO[bytes]) -> None:
        self._stream, self._stored = stream, stored
        self._given, self._next = 0, _CHECKED_EVERY

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = int(self._stream.readinto(buffer))
        self._given += count
        if self._given > self._next:
            self._next = self._given + _CHECKED_EVERY
            self._check()
        return count

    def _check(self) -> None:
        read = max(1, self._stored.tell())
        if self._given > max(MOST_UNASKED, MAX_GROWTH * read):
            raise OSError(
                f"{read:,} bytes grew to more than {self._given:,}, {MAX_GROWTH} times as many: a "
                "decompression bomb, or one text repeated many times; to read it anyway, "
                "decompress it first"
            )

    def close(self) -> None:
        self._stream.close()
        super().close()


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


def open_bytes(path: Path, watch: Callable[[int], None] | None = None) -> tuple[IO[bytes], str]:
    """Return the decompressed stream of a file and the name of its compression.

    ``watch`` is told the number of stored bytes read so far.
    """
    raw = stored = path.open("rb")
    if watch is not None:
        raw = io.BufferedReader(_Watched(raw, watch), 1 << 17)
    head = raw.peek(8)[:8] if hasattr(raw, "peek") else b""
    kind = next((name for magic, name in MAGIC.items() if head.startswith(magic)), "none")
    if kind == "none":
        return raw, kind
    if kind == "gzip":
        opened: Any = gzip.GzipFile(fileobj=raw)
    else:
        makers: dict[str, Callable[[], Any]] = {
            "xz": lzma.LZMADecompressor, "bzip2": bz2.BZ2Decompressor, "zstd": _zstd,
        }  # fmt: skip
        opened = _Frames(raw, makers[kind], bounded=kind != "zstd")
    return io.BufferedReader(_Measured(opened, stored), 1 << 17), kind


class _Watched(io.RawIOBase):
    def __init__(self, raw: IO[bytes], watch: Callable[[int], None]) -> None:
        self._raw, self._watch, self._read = raw, watch, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._raw.readinto(buffer)  # type: ignore[attr-defined]
        self._read += count
        self._watch(self._read)
        return int(count)

    def close(self) -> None:
        self._raw.close()
        super().close()
