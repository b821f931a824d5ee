"""Databases of both kinds, and servers that end with their test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from annotating import Server

from assay.annotation import Store


def postgres_address() -> str | None:
    """Return the server to test on: the one named, or one on loopback that lets us in."""
    named = os.environ.get("ASSAY_TEST_POSTGRES")
    address = named or "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
    engine = sqlalchemy.create_engine(address, connect_args={"connect_timeout": 2})
    try:
        with engine.connect():
            return address
    except sqlalchemy.exc.DBAPIError:
        if named:
            raise
        return None
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> str:
    address = postgres_address()
    if address is None:
        pytest.skip("no PostgreSQL: set ASSAY_TEST_POSTGRES to the URL of one")
    return address


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return a fresh database: a file, or a schema of its own on the server."""
    if request.param == "sqlite":
        yield str(tmp_path / "labels.sqlite")
        return
    address = request.getfixturevalue("postgres")
    schema = f"assay_test_{uuid.uuid4().hex[:12]}"
    engine = sqlalchemy.create_engine(address)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.schema.CreateSchema(schema))
    join = "&" if "?" in address else "?"
    yield f"{address}{join}options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.execute(sqlalchemy.schema.DropSchema(schema, cascade=True))
    engine.dispose()


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server; all end with the test."""
    running: list[Server] = []

    def begin(items: Path, **options: Any) -> Server:
        server = Server(tmp_path / "labels.jsonl", items, **options)
        running.append(server)
        return server

    yield begin
    for server in running:
        if server.process.poll() is None:
            server.kill()
