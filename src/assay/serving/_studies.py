"""Studies as they are now: parts of pages that are sent again whenever they change (server-sent events)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from assay.serving._values import Live, StudyRow
from assay.view import Words

EVERY = 1.5
"""Seconds between two looks at the store."""
_REST = 4
"""How many times as long as a look took nobody looks again: a page takes a fifth of a processor at most."""
_ALIVE = 10
"""Looks without a change after which a line is sent, so that what lies between keeps the connection."""

Parts = Mapping[str, str]


def state_parts(pages: Any, rows: list[StudyRow], w: Words) -> Parts:
    """Return the state of every study by the id of its place on the page."""
    template = pages.get_template("state.jinja")
    return {f"state-{place}": template.render(row=row, w=w) for place, row in enumerate(rows)}


def live_parts(pages: Any, live: Live, w: Words) -> Parts:
    """Return the state of one study, its steps under way and its curves so far."""
    rows = [(one, step_text(one.name, one.label, w), w.show(one.note, "@label")) for one in live.under]
    values = {"row": live.row, "live": live, "w": w, "left": left_text(live, w), "rows": rows}
    names = {"state-0": "state"} | dict.fromkeys(("found", "links", "under", "panels"))
    return {part: pages.get_template(f"{name or part}.jinja").render(values) for part, name in names.items()}


def step_text(name: str, label: str, w: Words) -> str:
    """Return what a step does and to what."""
    return w("progress.step", name=name, label=label).strip()


def left_text(live: Live, w: Words) -> str:
    """Return the time and the money left in words, "" where they are not known or nothing is left."""
    if live.row.finished:
        return ""
    money = [w(f"live.{key}", amount=_amounts(found, w))
             for key, found in (("to_pay", live.to_pay), ("paid", live.paid)) if found]  # fmt: skip
    return w("says.space").join(filter(None, (_time_left(live, w), *money)))


def _amounts(money: Mapping[str, float], w: Words) -> str:
    """Return amounts by currency; what is not nothing is never 0.00."""
    shown = {name: f"{amount:,.2f}" if amount >= 0.005 else "< 0.01" for name, amount in money.items()}
    return w("says.list").join(f"{amount} {name}" for name, amount in shown.items())


def _time_left(live: Live, w: Words) -> str:
    seconds = live.seconds_left
    if seconds is None or not live.under:
        return ""
    if seconds < 90:
        return w("live.left", time=w("unit.seconds", n=f"{seconds:.0f}"))
    if seconds < 5400:
        return w("live.left", time=w("unit.minutes", n=f"{seconds / 60:.0f}"))
    return w("live.left", time=w("unit.hours", n=f"{seconds / 3600:.1f}"))


def events(request: Request, look: Callable[[], Parts | None]) -> Response:
    """Return a stream of the parts that changed; it ends where there is nothing to look at any more."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_changes(request, look), media_type="text/event-stream", headers=headers)


async def _changes(request: Request, look: Callable[[], Parts | None]) -> AsyncIterator[str]:
    from anyio import to_thread

    sent: dict[str, str] = {}
    quiet = 0
    while not await request.is_disconnected():
        began = time.monotonic()
        parts = await to_thread.run_sync(look)
        rest = max(EVERY, _REST * (time.monotonic() - began))
        if parts is None:
            return
        changed = {name: text for name, text in parts.items() if sent.get(name) != text}
        sent |= changed
        quiet = 0 if changed else quiet + 1
        if changed:
            yield f"data: {json.dumps(changed, ensure_ascii=False)}\n\n"
        elif quiet % _ALIVE == 0:
            yield ": alive\n\n"
        await asyncio.sleep(rest)
