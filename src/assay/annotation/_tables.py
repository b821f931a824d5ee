"""The tables, the same on SQLite and PostgreSQL, and how a database is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    make_url,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from assay.core import AssayError, make_durable

SCHEMA = "1"
"""Version of the tables; a database of another is refused."""

metadata = MetaData()

meta = Table("meta", metadata, Column("name", String(40), primary_key=True), Column("value", Text))
items = Table(
    "item",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("position", Integer, nullable=False, unique=True),
    Column("sample", Text, nullable=False),
)
answers = Table(
    "answer", metadata, Column("item", String(32), primary_key=True), Column("text", Text, nullable=False)
)
annotators = Table(
    "annotator",
    metadata,
    Column("seat", Integer, primary_key=True, autoincrement=False),
    Column("name", String(80), unique=True),
)
assignments = Table(
    "assignment",
    metadata,
    Column("seat", Integer, primary_key=True, autoincrement=False),
    Column("item", String(32), primary_key=True),
)
events = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("seat", Integer, nullable=False),
    Column("item", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("points", Integer, nullable=False),
    Column("before", Integer, nullable=False),
    Column("label", Text),
    Column("time", String(40), nullable=False),
    UniqueConstraint("seat", "item", "version"),
    Index("event_item", "item"),
)
drafts = Table(
    "draft",
    metadata,
    Column("seat", Integer, primary_key=True, autoincrement=False),
    Column("item", String(32), primary_key=True),
    Column("page", String(40), nullable=False),
    Column("serial", Integer, nullable=False),
    Column("label", Text, nullable=False),
    Column("time", String(40), nullable=False),
)
logins = Table(
    "login",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("seat", Integer, nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("language", String(8)),
    Column("theme", String(8)),
    Column("time", String(40), nullable=False),
)


def database_url(place: str) -> URL:
    """Return the URL of a database: a file's path (SQLite), ``sqlite:///...`` or ``postgresql://...``."""
    if "://" not in place:
        return URL.create("sqlite", database=str(Path(place).expanduser()))
    try:
        url = make_url(place)
    except (ArgumentError, ValueError):
        raise no_database("the address of the database cannot be read", "") from None
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise no_database("no such kind of database", url.drivername)
    return url


def no_database(problem: str, value: str) -> AssayError:
    """Return the error for an address that leads to no database of ours."""
    return AssayError(
        problem,
        place="database",
        value=value or None,
        expected="a file's path, sqlite:///FILE, or postgresql+psycopg://USER@HOST/NAME",
    )


def _made(url: URL, **options: Any) -> Engine:
    try:
        return create_engine(url, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise no_database(f"the driver of the database is not installed ({error})", url.drivername) from None


def tables_of(url: URL) -> set[str]:
    """Return the names of the tables of a database that is there, which is not touched."""
    if url.get_backend_name() == "sqlite":
        place = Path(url.database or "").absolute()
        if not place.is_file():
            raise no_database("no such database", str(place))
        url = url.set(database=place.as_uri(), query={"mode": "ro", "uri": "true"})
    engine = _made(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def open_engine(url: URL) -> Engine:
    """Return an engine whose commits survive a kill; nothing is connected yet."""
    try:
        if url.get_backend_name() != "sqlite":
            return _made(url, pool_pre_ping=True)
        if not url.database or url.database == ":memory:":
            raise no_database("a database in memory would lose everything", str(url))
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        # Prompts and links of annotators are the owner's alone.
        os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))
        engine = _made(url, connect_args={"timeout": 60})
    except OSError as error:
        raise no_database(f"the database cannot be opened ({error.strerror})", str(url.database)) from None
    event.listen(engine, "connect", _durable)
    event.listen(engine, "begin", _begin)
    return engine


def _durable(connection: Any, _: Any) -> None:
    # The driver would begin transactions late; SQLite then could not upgrade a read to a write.
    connection.isolation_level = None
    make_durable(connection)


def one_at_a_time(connection: Connection) -> None:
    """Hold other processes that make the tables until the transaction ends; SQLite's writers wait anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('assay tables'))")


def _begin(connection: Any) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
