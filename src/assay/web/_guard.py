"""Who may come in: hosts, origins, sizes, and what a page may load."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 24_000_000
"""Longest body of a request: two texts of a million Chinese characters, percent-encoded, and some."""

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    # Not no-referrer: it would take the origin from the forms whose origin is checked.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_hosts(host: str) -> frozenset[str]:
    """Return the names under which a server bound to ``host`` may be addressed.

    Other names are refused, so that no page elsewhere can reach the server by a name that it lets point here
    (DNS rebinding).
    """
    if is_loopback(host):
        return _LOOPBACK | {host}
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return _LOOPBACK | {host.lower()}
    own = socket.gethostname()
    found = {own.lower(), socket.getfqdn().lower()}
    with contextlib.suppress(OSError):
        found |= {str(info[4][0]) for info in socket.getaddrinfo(own, None)}
    return _LOOPBACK | found


class Guard:
    """ASGI middleware: refuses foreign hosts and origins and long bodies; sets the security headers."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        """Wrap ``app``; ``hosts`` are the names it may be addressed by."""
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                # What an answer says of itself stands.
                given = {name.lower() for name, _ in message["headers"]}
                own = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in given]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, guarded)
            return
        from starlette.responses import PlainTextResponse

        status, text = refusal
        await PlainTextResponse(text, status)(scope, receive, guarded)

    def _refusal(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        if name not in self._hosts:
            return 421, "this server is not known by this name"
        if scope["method"] in ("GET", "HEAD"):
            return None
        # A page cannot leave its origin out, nor send a token of its own elsewhere unasked (Fetch, 4.9).
        program = "origin" not in headers and "authorization" in headers
        if not program and headers.get("origin") != f"{scope['scheme']}://{host}":
            return 403, "the request came from another page"
        length = headers.get("content-length", "")
        # Without a length a body could grow without end.
        if not length.isdecimal():
            return 411, "the length is missing"
        return (413, "too long") if int(length) > MAX_BYTES else None
