"""Listen on this machine until stopped."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from assay.core import AssayError
from assay.web._guard import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    import uvicorn
    from starlette.types import ASGIApp

_ASKED_EVERY = 1.0


def bind(host: str, port: int, *, fixed: bool) -> socket.socket:
    """Return a listening socket; where ``port`` is taken and not ``fixed``, on a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        if port and not fixed:
            return bind(host, 0, fixed=False)
        raise AssayError(
            f"cannot listen ({error.strerror})", place="host", value=f"{host}:{port}",
            expected="an address of this machine and a free port", hint="--port 0 takes a free one",
        ) from None  # fmt: skip
    return bound


def run(app: ASGIApp, bound: socket.socket, stop: Callable[[], bool] | None = None) -> None:
    """Serve until Ctrl-C, or until ``stop`` says so, which is asked every second.

    Connections that begin a request and do not end it are closed.
    """
    import uvicorn

    from assay.web._patience import PatientProtocol

    config = uvicorn.Config(
        app, http=PatientProtocol, log_level="warning", access_log=False, timeout_graceful_shutdown=3,
        server_header=False, proxy_headers=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    if stop is not None:
        threading.Thread(target=_stopped, args=(server, stop), daemon=True).start()
    # The server ends in order and then passes the interrupt on.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[bound])


def _stopped(server: uvicorn.Server, stop: Callable[[], bool]) -> None:
    """End a server once it is asked to."""
    while not server.should_exit:
        time.sleep(_ASKED_EVERY)
        server.should_exit = server.should_exit or stop()


def address(host: str, port: int) -> str:
    """Return the address at which people reach a server bound to ``host``."""
    shown = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        shown = socket.gethostname()
    return f"http://{shown}:{port}"


def warn(host: str, can: str) -> None:
    """Warn where others may listen; ``can``: what whoever sees a link can do."""
    if not is_loopback(host):
        print(
            f"warning: {host} can be reached from other machines, and nothing is encrypted: "
            f"whoever sees a link or the traffic can {can}",
            file=sys.stderr,
        )


def local(address: str) -> str:
    """Return an address of this server alone: ``address``, or its first page where that leads elsewhere."""
    parts = urlsplit(address)
    plain = address.startswith("/") and "\\" not in address and not (parts.scheme or parts.netloc)
    return address if plain and address.isprintable() else "/"
