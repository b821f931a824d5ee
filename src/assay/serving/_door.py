"""Who may come in: one token for programs (Bearer) and, by a cookie made from it, for pages."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from assay.core import AssayError

TOKEN = "ASSAY_TOKEN"  # noqa: S105 - the name of a variable
_SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Door:
    """The token of a server and what follows from it; nothing is kept, so a restart keeps people in."""

    token: str

    @classmethod
    def new(cls) -> Door:
        """Return a door with a random token."""
        return cls(secrets.token_urlsafe(24))

    @classmethod
    def known(cls) -> Door | None:
        """Return the door whose token is in ASSAY_TOKEN, None where that is not set."""
        token = os.environ.get(TOKEN)
        if not token:
            return None
        if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
            raise AssayError(
                "the token is too weak", place=TOKEN,
                expected=f"at least {_SHORTEST} ASCII characters without spaces", hint="openssl rand -hex 16",
            )  # fmt: skip
        return cls(token)

    def _derived(self, use: str) -> str:
        return hmac.new(self.token.encode(), use.encode(), hashlib.sha256).hexdigest()

    @property
    def cookie(self) -> str:
        """Name of the cookie: that of this server alone, as cookies do not tell ports apart."""
        return f"assay_{self._derived('name')[:8]}"

    @property
    def session(self) -> str:
        """Value of the cookie."""
        return self._derived("session")

    @property
    def csrf(self) -> str:
        """What a page's own requests carry besides the cookie."""
        return self._derived("csrf")

    def opens(self, token: str) -> bool:
        """Say whether a token is right, in a time that says nothing of how much of it was."""
        return _same(token, self.token)

    def bearer(self, headers: Mapping[str, str]) -> bool:
        """Say whether a program shows the token."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self.opens(token.strip())

    def page(self, cookies: Mapping[str, str]) -> bool:
        """Say whether a browser has logged in."""
        return _same(cookies.get(self.cookie, ""), self.session)

    def own(self, csrf: str) -> bool:
        """Say whether a request comes from a page of this server."""
        return _same(csrf, self.csrf)


def _same(given: str, own: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), own.encode())
