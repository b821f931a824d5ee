from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import buckets
from assay.plan import _bucket

# Workers import the toy steps by name.
HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[str, buckets.Faulty]]:
    with buckets.moto() as (url, app):
        buckets.make_bucket(url)
        yield url, app


@pytest.fixture(scope="session")
def seaweed() -> Iterator[str]:
    with buckets.seaweed() as url:
        buckets.make_bucket(url)
        yield url


@pytest.fixture
def app(
    server: tuple[str, buckets.Faulty], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> buckets.Faulty:
    """Give moto's application; the environment names its server, and requests are sent again soon."""
    url, app = server
    named(url, tmp_path, monkeypatch)
    monkeypatch.setattr(_bucket, "_WAITS", (0.01, 0.02))
    return app


def named(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**buckets.settings(url), "ASSAY_CACHE": str(folder / "cache")}.items():
        monkeypatch.setenv(name, value)


def on(server: str, request: pytest.FixtureRequest) -> str:
    """Return the address of a store on a server, in which nothing is yet."""
    if server == "moto":
        request.getfixturevalue("app")
    else:
        folder, patch = (request.getfixturevalue(name) for name in ("tmp_path", "monkeypatch"))
        named(request.getfixturevalue("seaweed"), folder, patch)
    return buckets.new_address()


@pytest.fixture(params=["moto", pytest.param("seaweed", marks=pytest.mark.long)])
def url(request: pytest.FixtureRequest) -> str:
    """Give the address of a store in a bucket of each server."""
    return on(request.param, request)


@pytest.fixture(params=["folder", "moto", pytest.param("seaweed", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of a store of each kind."""
    return str(tmp_path / "store") if request.param == "folder" else on(request.param, request)
