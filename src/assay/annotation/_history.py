"""One annotator's work on one item: an append-only history of events, and one draft.

Nothing of the history is changed or deleted.  An event's ``points`` is the version whose label holds after
it; undo points back to the version before.  All functions run inside a transaction that holds the annotator's
lock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select

from assay.annotation._tables import drafts, events
from assay.annotation._values import Conflict, Draft, Event, EventKind, Form, Label, Standing


def now() -> str:
    """Return the time in UTC to the millisecond (ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _of(table: Any, seat: int, item: str) -> Any:
    return and_(table.c.seat == seat, table.c.item == item)


def _head(connection: Connection, seat: int, item: str) -> tuple[int, int]:
    """Return the last version and the version that holds; zeros where nothing was done."""
    query = select(events.c.version, events.c.points).where(_of(events, seat, item))
    row = connection.execute(query.order_by(events.c.version.desc()).limit(1)).first()
    return (0, 0) if row is None else (row.version, row.points)


def _event(connection: Connection, seat: int, item: str, version: int) -> Any:
    return connection.execute(
        select(events).where(_of(events, seat, item), events.c.version == version)
    ).first()


def standing(connection: Connection, seat: int, item: str) -> Standing:
    """Return where one annotator's work on an item stands."""
    version, points = _head(connection, seat, item)
    held = _event(connection, seat, item, points) if points else None
    row = connection.execute(select(drafts).where(_of(drafts, seat, item))).first()
    draft = None if row is None else Draft(row.page, row.serial, Label.parse(row.label), row.time)
    if held is None:
        return Standing(version, None, draft)
    return Standing(version, Label.parse(held.label), draft, held.time)


def history(connection: Connection, seat: int, item: str) -> tuple[Event, ...]:
    """Return all events of an item, the last first."""
    query = select(events).where(_of(events, seat, item)).order_by(events.c.version.desc())
    return tuple(
        Event(e.version, e.kind, e.points, None if e.label is None else Label.parse(e.label), e.time)
        for e in connection.execute(query)
    )


def _append(
    connection: Connection, seat: int, item: str, kind: EventKind, label: Label | None, points: int | None
) -> int:
    """Append an event that points to itself (``points`` None) or elsewhere; return its version."""
    version, before = _head(connection, seat, item)
    row = {
        "seat": seat, "item": item, "version": version + 1, "kind": kind, "before": before, "time": now(),
        "points": version + 1 if points is None else points, "label": None if label is None else label.text(),
    }  # fmt: skip
    connection.execute(insert(events).values(row))
    return version + 1


def _set_aside(connection: Connection, seat: int, item: str, draft: Draft) -> None:
    """Keep a draft in the history, and end it; what holds stays."""
    _, points = _head(connection, seat, item)
    _append(connection, seat, item, "aside", draft.label, points)
    connection.execute(delete(drafts).where(_of(drafts, seat, item)))


def _continues(form: Form, draft: Draft) -> bool:
    return draft.page in (form.page, form.seen)


def save(connection: Connection, seat: int, item: str, form: Form) -> Standing | Conflict:
    """Append the label of a form, and end its draft; a draft of another page goes to the history.

    Gives :class:`Conflict`, and changes nothing, where the item was changed since the form's version.  The
    same label sent again (its answer was lost on the way) is no conflict, and is not appended again.
    """
    found = standing(connection, seat, item)
    if found.version != form.version and found.label != form.label:
        return Conflict(found)
    if found.draft is not None and not _continues(form, found.draft) and found.draft.label != form.label:
        _set_aside(connection, seat, item, found.draft)
    connection.execute(delete(drafts).where(_of(drafts, seat, item)))
    if found.label != form.label:
        _append(connection, seat, item, "save", form.label, None)
    return standing(connection, seat, item)


def keep_draft(
    connection: Connection, seat: int, item: str, form: Form, proposed: Label
) -> Standing | Conflict:
    """Keep what was typed and not saved; a form that says what already holds ends its own draft.

    Gives :class:`Conflict`, and changes nothing, where the item was saved, or drafted by another page, since
    the form was opened.  What a page sent earlier never replaces what it sent later.
    """
    found = standing(connection, seat, item)
    same = form.label == (proposed if found.label is None else found.label)
    if found.draft is not None and not _continues(form, found.draft):
        return found if same else Conflict(found)
    if found.version != form.version:
        return found if same else Conflict(found)
    if found.draft is not None and found.draft.page == form.page and found.draft.serial > form.serial:
        return found
    connection.execute(delete(drafts).where(_of(drafts, seat, item)))
    if not same:
        row = {"seat": seat, "item": item, "page": form.page, "serial": form.serial, "time": now()}
        connection.execute(insert(drafts).values(row | {"label": form.label.text()}))
    return standing(connection, seat, item)


def undo(connection: Connection, seat: int, item: str) -> str | None:
    """Take back the last thing done, and return the item it was done to, or None where there is nothing.

    First the draft of ``item``; else the annotator's last save that still holds, on whatever item.
    """
    draft = standing(connection, seat, item).draft
    if draft is not None:
        _set_aside(connection, seat, item, draft)
        return item
    last = _last_held(connection, seat)
    if last is None:
        return None
    draft = standing(connection, seat, last.item).draft
    if draft is not None:
        _set_aside(connection, seat, last.item, draft)
    _append(connection, seat, last.item, "undo", None, last.before)
    return str(last.item)


def _last_held(connection: Connection, seat: int) -> Any:
    """Return the latest event of an annotator whose label holds now."""
    newest = select(events.c.item, func.max(events.c.version).label("version"))
    heads = newest.where(events.c.seat == seat).group_by(events.c.item).subquery()
    head, held = events.alias(), events.alias()
    query = (
        select(held)
        .select_from(heads)
        .join(head, and_(head.c.seat == seat, head.c.item == heads.c.item, head.c.version == heads.c.version))
        .join(held, and_(held.c.seat == seat, held.c.item == head.c.item, held.c.version == head.c.points))
        .order_by(held.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).first()


def restore(connection: Connection, seat: int, item: str, version: int) -> bool:
    """Make the label of an earlier event hold again, as a new event; say whether there was one."""
    event = _event(connection, seat, item, version)
    if event is None or event.label is None:
        return False
    found = standing(connection, seat, item)
    if found.draft is not None:
        _set_aside(connection, seat, item, found.draft)
    label = Label.parse(event.label)
    if label != found.label:
        _append(connection, seat, item, "restore", label, None)
    return True
