"""Serve models and studies until Ctrl-C."""

from __future__ import annotations

import sys
import webbrowser

from assay import web
from assay.serving._door import TOKEN, Door
from assay.serving._models import QUEUE
from assay.serving._site import build_app
from assay.serving._values import Library


def serve(
    library: Library,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    language: str | None = None,
    open_browser: bool = False,
    queue: int = QUEUE,
) -> None:
    """Serve OpenAI's protocol and the pages; the token is printed once, and nowhere else."""
    known = Door.known()
    door = known or Door.new()
    app = build_app(library, door, web.allowed_hosts(host), language, queue=queue)
    bound = web.bind(host, port, fixed=port != 0)
    web.warn(host, "talk to the models and read the reports")
    at = web.address(host, bound.getsockname()[1])
    link = f"{at}/login?token={door.token}"
    # A token that its owner knows is not shown.
    print(f"pages: {link if known is None else at}", file=sys.stderr)
    print(f"OpenAI's protocol: {at}/v1, key {TOKEN if known else door.token}", file=sys.stderr)
    print("Ctrl-C ends.", file=sys.stderr, flush=True)
    if open_browser:
        webbrowser.open(link)
    web.run(app, bound)
