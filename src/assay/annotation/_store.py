"""The database of an annotation: items, who labels which, and what each annotator did."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from assay.annotation import _history
from assay.annotation._tables import (
    SCHEMA,
    annotators,
    answers,
    assignments,
    database_url,
    drafts,
    events,
    items,
    logins,
    meta,
    metadata,
    no_database,
    one_at_a_time,
    open_engine,
    tables_of,
)
from assay.annotation._values import (
    Conflict,
    Event,
    Form,
    HumanLabel,
    Item,
    Label,
    Standing,
    Task,
    parse_sample,
    sample_text,
)
from assay.core import AssayError, Sample

_MANY = 500
NAME_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Login:
    """An annotator who is logged in, and how the pages are to look (None: as the browser prefers)."""

    digest: str
    seat: int
    name: str
    csrf: str
    language: str | None
    theme: str | None


class Store:
    """A database of items and labels; every change is committed before its method returns.

    An annotator is a ``seat`` from 1.  Several processes and threads may use one database at a time: what one
    annotator does is serialised by the database, and a change that started from an outdated state is told so
    (:class:`Conflict`), never merged or overwritten.
    """

    def __init__(self, database: str, *, create: bool = True) -> None:
        """Open the database: a file for SQLite, or a URL of SQLite or PostgreSQL; ``create`` makes it.

        Raises :class:`AssayError` where it cannot be opened, or is not one of ours and none is to be made.
        """
        url = database_url(database)
        self.place = url.render_as_string(hide_password=True)
        try:
            if not (create or tables_of(url) >= metadata.tables.keys()):
                raise no_database("no annotation database", self.place)
            self._engine = open_engine(url)
            with self._writing() as connection:
                one_at_a_time(connection)
                metadata.create_all(connection)
                self._identify(connection)
        except DBAPIError as error:
            # The driver's text may hold the address, never the password.
            raise AssayError(
                f"the database cannot be opened ({type(error.orig).__name__})",
                place="database",
                value=self.place,
                expected="a file that can be written, or a PostgreSQL server that answers",
                hint="check the address, the user and PGPASSWORD",
            ) from None

    def _identify(self, connection: Connection) -> None:
        known = {row.name: row.value for row in connection.execute(select(meta))}
        if known.get("schema", SCHEMA) != SCHEMA:
            raise AssayError(
                "the database was written by another version of Assay",
                place=self.place,
                value=known["schema"],
                expected=f"tables of version {SCHEMA}",
            )
        if not known:
            rows = [{"name": "schema", "value": SCHEMA}, {"name": "identity", "value": secrets.token_hex(8)}]
            connection.execute(insert(meta), rows)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self, seat: int | None = None) -> Iterator[Connection]:
        """Open a transaction that commits at its end; with a seat, no other changes that seat's work."""
        with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
            if seat is not None:
                # On SQLite the transaction alone holds the lock; on PostgreSQL this row does.
                connection.execute(select(annotators).where(annotators.c.seat == seat).with_for_update())
            yield connection

    @staticmethod
    def _alone(connection: Connection) -> None:
        """Wait until no other process loads or deals."""
        connection.execute(select(meta).where(meta.c.name == "schema").with_for_update())

    def remember(self, name: str, value: str | None = None) -> str | None:
        """Return what was remembered under a name, after remembering ``value`` if given."""
        with self._writing() as connection:
            if value is not None:
                connection.execute(delete(meta).where(meta.c.name == name))
                connection.execute(insert(meta).values(name=name, value=value))
            found = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()
        return None if found is None else str(found)

    # Items

    def load(self, samples: Mapping[str, Sample], models: Mapping[str, str]) -> int:
        """Add the items and answers that are new, in order after those there; return how many items.

        Raises :class:`AssayError` where another answer to an item is known: scores given to it would then
        stand beside a text that nobody scored.
        """
        with self._writing() as connection:
            self._alone(connection)
            last = connection.execute(select(func.max(items.c.position))).scalar() or 0
            known = set(connection.execute(select(items.c.id)).scalars())
            new = [sample for name, sample in samples.items() if name not in known]
            rows = [
                {"id": sample.id, "position": last + n, "sample": sample_text(sample)}
                for n, sample in enumerate(new, start=1)
            ]
            self._insert(connection, items, rows)
            self._load_answers(connection, models)
        return len(rows)

    def _load_answers(self, connection: Connection, models: Mapping[str, str]) -> None:
        known = {row.item: row.text for row in connection.execute(select(answers))}
        texts = {item: Label(answer=text).text() for item, text in models.items()}
        for item, text in texts.items():
            if known.get(item, text) != text:
                raise AssayError(
                    "the database holds a different answer to an item",
                    place=item,
                    value=models[item],
                    expected="the answers this annotation started with",
                    hint="use another --out or --database for another model's answers",
                )
        new = [{"item": item, "text": text} for item, text in texts.items() if item not in known]
        self._insert(connection, answers, new)

    @staticmethod
    def _insert(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
        for start in range(0, len(rows), _MANY):
            connection.execute(insert(table), rows[start : start + _MANY])

    def item(self, position: int) -> Item | None:
        """Return the item at a position (from 1)."""
        with self._reading() as connection:
            return next(self._items(connection, items.c.position == position), None)

    def items(self, positions: list[int]) -> list[Item]:
        """Return the items at some positions, in order."""
        with self._reading() as connection:
            return list(self._items(connection, items.c.position.in_(positions)))

    def all_items(self) -> Iterator[Item]:
        """Return all items in order."""
        with self._reading() as connection:
            yield from self._items(connection, items.c.position > 0)

    @staticmethod
    def _items(connection: Connection, which: Any) -> Iterator[Item]:
        query = select(items, answers.c.text).outerjoin(answers, answers.c.item == items.c.id).where(which)
        for row in connection.execute(query.order_by(items.c.position)):
            model = None if row.text is None else Label.parse(row.text).answer
            yield Item(row.position, row.id, parse_sample(row.sample), model)

    # Annotators

    def deal(self, seats: int, per_item: int) -> None:
        """Give each item to ``per_item`` of the annotators 1..``seats``, evenly.

        Items that somebody began stay with them; the rest are dealt anew, each to those with the fewest, ties
        by a digest, so that pairs of annotators mix.
        """
        if not 1 <= per_item <= seats:
            raise AssayError(
                "an item cannot have more annotators than there are",
                place="per_item",
                value=per_item,
                expected=f"1 to {seats}",
                hint="raise --annotators",
            )
        with self._writing() as connection:
            self._alone(connection)
            self._make_seats(connection, seats)
            begun = self._begun(connection)
            ids = list(connection.execute(select(items.c.id).order_by(items.c.position)).scalars())
            rows = _dealt(ids, begun, seats, per_item)
            connection.execute(delete(assignments))
            self._insert(connection, assignments, rows)

    def _make_seats(self, connection: Connection, seats: int) -> None:
        there = set(connection.execute(select(annotators.c.seat)).scalars())
        new = [{"seat": seat, "name": None} for seat in range(1, seats + 1) if seat not in there]
        self._insert(connection, annotators, new)

    @staticmethod
    def _begun(connection: Connection) -> dict[str, set[int]]:
        begun: dict[str, set[int]] = {}
        for table in (events, drafts):
            for row in connection.execute(select(table.c.item, table.c.seat).distinct()):
                begun.setdefault(row.item, set()).add(row.seat)
        return begun

    def seats(self) -> dict[int, str | None]:
        """Return the annotators with their names; None where nobody took the seat yet."""
        with self._reading() as connection:
            rows = connection.execute(select(annotators).order_by(annotators.c.seat))
            return {row.seat: row.name for row in rows}

    def take_seat(self, seat: int, name: str) -> str:
        """Name an annotator, once; return the name that the seat has."""
        shown = unicodedata.normalize("NFC", " ".join(name.split()))
        if not 1 <= len(shown) <= NAME_LENGTH or not shown.isprintable():
            raise AssayError(
                "not a name", place="name", value=name, expected=f"1 to {NAME_LENGTH} visible characters"
            )
        with self._writing(seat) as connection:
            own = and_(annotators.c.seat == seat, annotators.c.name.is_(None))
            try:
                connection.execute(update(annotators).where(own).values(name=shown))
            except IntegrityError:
                raise AssayError(
                    "the name is taken by another annotator",
                    place="name",
                    value=shown,
                    expected="a name of your own",
                ) from None
            found = connection.execute(select(annotators.c.name).where(annotators.c.seat == seat)).scalar()
        if found is None:
            raise AssayError("unknown annotator", place="seat", value=seat)
        return str(found)

    def log_in(self, seat: int) -> str:
        """Begin a login of an annotator and return its secret, of which only the digest is kept."""
        secret = secrets.token_urlsafe(32)
        row = {
            "digest": _sha(secret),
            "seat": seat,
            "csrf": secrets.token_urlsafe(32),
            "time": _history.now(),
        }
        with self._writing() as connection:
            connection.execute(insert(logins).values(row))
        return secret

    def login(self, secret: str) -> Login | None:
        """Return who a login's secret belongs to."""
        query = select(logins, annotators.c.name).join(annotators, annotators.c.seat == logins.c.seat)
        with self._reading() as connection:
            row = connection.execute(query.where(logins.c.digest == _sha(secret))).first()
        if row is None or row.name is None:
            return None
        return Login(row.digest, row.seat, row.name, row.csrf, row.language, row.theme)

    def log_out(self, login: Login) -> None:
        """End a login."""
        with self._writing() as connection:
            connection.execute(delete(logins).where(logins.c.digest == login.digest))

    def choose(self, login: Login, *, language: str | None, theme: str | None) -> None:
        """Keep how the pages of a login are to look; None leaves a choice as it is."""
        chosen = {k: v for k, v in (("language", language), ("theme", theme)) if v is not None}
        if chosen:
            with self._writing() as connection:
                connection.execute(update(logins).where(logins.c.digest == login.digest).values(chosen))

    # Work

    def tasks(self, seat: int) -> list[Task]:
        """Return an annotator's items in order: those dealt, and any others already labelled."""
        with self._reading() as connection:
            dealt = select(assignments.c.item).where(assignments.c.seat == seat)
            points = self._points(connection, seat)
            open_drafts = set(
                connection.execute(select(drafts.c.item).where(drafts.c.seat == seat)).scalars()
            )
            mine = set(connection.execute(dealt).scalars()) | set(points) | open_drafts
            rows = list(connection.execute(select(items.c.position, items.c.id).order_by(items.c.position)))
        return [
            Task(
                p,
                i,
                "draft" if i in open_drafts else "done" if points.get(i) else "open",
                points.get(i, 0) > 0,
                number,
            )
            for number, (p, i) in enumerate((row for row in rows if row.id in mine), 1)
        ]

    @staticmethod
    def _points(connection: Connection, seat: int) -> dict[str, int]:
        """Return which version holds (0: none) of each item that an annotator did something to."""
        newest = select(events.c.item, func.max(events.c.version).label("version"))
        heads = newest.where(events.c.seat == seat).group_by(events.c.item).subquery()
        query = select(events.c.item, events.c.points).join(
            heads, and_(events.c.item == heads.c.item, events.c.version == heads.c.version)
        )
        rows = connection.execute(query.where(events.c.seat == seat))
        return {row.item: row.points for row in rows}

    def standing(self, seat: int, item: str) -> Standing:
        """Return where an annotator's work on an item stands."""
        with self._reading() as connection:
            return _history.standing(connection, seat, item)

    def history(self, seat: int, item: str) -> tuple[Event, ...]:
        """Return all that an annotator did to an item, the last first."""
        with self._reading() as connection:
            return _history.history(connection, seat, item)

    def save(self, seat: int, item: str, form: Form) -> Standing | Conflict:
        """Save a label; see :func:`assay.annotation._history.save`."""
        with self._writing(seat) as connection:
            return _history.save(connection, seat, item, form)

    def keep_draft(self, seat: int, item: str, form: Form, proposed: Label) -> Standing | Conflict:
        """Keep what was typed and not saved; see :func:`assay.annotation._history.keep_draft`."""
        with self._writing(seat) as connection:
            return _history.keep_draft(connection, seat, item, form, proposed)

    def undo(self, seat: int, item: str) -> str | None:
        """Take back the last thing done and return its item; see :func:`assay.annotation._history.undo`."""
        with self._writing(seat) as connection:
            return _history.undo(connection, seat, item)

    def restore(self, seat: int, item: str, version: int) -> bool:
        """Make an earlier label hold again; say whether there was one."""
        with self._writing(seat) as connection:
            return _history.restore(connection, seat, item, version)

    def labels(self) -> list[HumanLabel]:
        """Return all labels that hold, in the order of the items and annotators."""
        newest = select(events.c.seat, events.c.item, func.max(events.c.version).label("version"))
        heads = newest.group_by(events.c.seat, events.c.item).subquery()
        head, held = events.alias(), events.alias()
        query = (
            select(held.c.label, held.c.time, held.c.item, annotators.c.name, held.c.seat)
            .select_from(heads)
            .join(head, _same(head, heads, heads.c.version))
            .join(held, _same(held, head, head.c.points))
            .join(annotators, annotators.c.seat == held.c.seat)
        )
        with self._reading() as connection:
            rows = connection.execute(query).all()
            place = {item.id: item for item in self._items(connection, items.c.position > 0)}
        rows = sorted(rows, key=lambda row: (place[row.item].position, row.seat))
        return [_human(Label.parse(r.label), r.name or str(r.seat), r.time, place[r.item]) for r in rows]


def _same(first: Any, second: Any, version: Any) -> Any:
    return and_(first.c.seat == second.c.seat, first.c.item == second.c.item, first.c.version == version)


def _human(label: Label, name: str, time: str, item: Item) -> HumanLabel:
    judged = item.sample.answer if item.model_answer is None else item.model_answer
    return HumanLabel(
        item.id, name, label.type, label.answer, label.score, label.note, time, judged, item.position
    )


def _dealt(
    ids: list[str], begun: Mapping[str, set[int]], seats: int, per_item: int
) -> list[dict[str, int | str]]:
    loads: Counter[int] = Counter(seat for item in ids for seat in begun.get(item, ()))
    rows: list[dict[str, int | str]] = []
    for item in ids:
        own = set(begun.get(item, ()))
        others = [seat for seat in range(1, seats + 1) if seat not in own]
        others.sort(key=lambda seat: (loads[seat], _sha(f"{item} {seat}")))
        new = others[: max(0, per_item - len(own))]
        loads.update(new)
        rows += [{"seat": seat, "item": item} for seat in sorted(own | set(new))]
    return rows


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
