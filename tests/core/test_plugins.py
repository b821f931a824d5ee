"""Plug-ins: listed at once, loaded when asked for, and told of by name where they cannot be used."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from assay.core import METRICS, AssayError, Plugins, higher_is_better
from assay.core._plugins import _code, _listed
from packages import install

GROUP = "assay.tests"


class Greeter(Protocol):
    name: str
    version: int

    def __call__(self, whom: str, *, loud: bool) -> str: ...


GOOD = """
class Greeter:
    name, version = "good", 3
    def __call__(self, whom, *, loud):
        return whom
    def __init__(self, **more):
        self.__dict__.update(more)

GOOD = Greeter()
SHADOW = Greeter(name="ours")
MISNAMED = Greeter(name="other")
BARE = object()
class SHORT:
    name, version = "short", 1
    def __call__(self, whom):
        return whom
SHORT = SHORT()
"""


@pytest.fixture
def greeters() -> Plugins[Greeter]:
    return Plugins(GROUP, "greeter", Greeter, ("ours",))


@pytest.fixture(autouse=True)
def forget() -> object:
    """Let each test see its own packages."""
    _listed.cache_clear()
    _code.cache_clear()
    sys.modules.pop("some_plugins", None)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("some_plugins", None)
    _listed.cache_clear()


def have(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str, **names: str) -> None:
    monkeypatch.syspath_prepend(str(install(folder, code, {GROUP: names})))


def test_a_plugin_is_found_loaded_and_kept(
    greeters: Plugins[Greeter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not greeters and greeters.names == ("ours",)
    have(monkeypatch, tmp_path, GOOD, good="GOOD")
    assert list(greeters) == ["good"] and greeters.names == ("ours", "good") and "good" in greeters
    assert greeters["good"]("you", loud=False) == "you"
    assert greeters.get("good") is greeters["good"]
    assert greeters.get("ours") is None and greeters.get("nobody") is None
    with pytest.raises(KeyError):
        greeters["nobody"]


def test_listing_imports_nothing_and_never_fails(
    greeters: Plugins[Greeter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, tmp_path, "raise RuntimeError('not at all')", broken="X", worse="Y:Z W")
    assert list(greeters) == ["broken", "worse"] and len(greeters) == 2
    assert "some_plugins" not in sys.modules


def test_a_list_that_cannot_be_read_hides_no_other(
    greeters: Plugins[Greeter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = install(tmp_path / "spoilt", "", {}, name="spoilt", module="spoilt")
    (spoilt / "spoilt-1.0.dist-info" / "entry_points.txt").write_text("[assay.tests]\nno sign at all\n")
    monkeypatch.syspath_prepend(str(spoilt))
    have(monkeypatch, tmp_path / "good", GOOD, good="GOOD")
    assert list(greeters) == ["good"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"gone": "NOTHING"}, "AttributeError"),
        ({"bare": "BARE"}, "it has no name, no version"),
        ({"kind": "Greeter"}, "it is the class Greeter, not an object of it"),
        ({"short": "SHORT"}, r"it cannot be called as \(whom, \*, loud\)"),
        ({"wrong": "MISNAMED"}, "its name is 'other', that of its entry point 'wrong'"),
        ({"ours": "SHADOW"}, "the name is taken by a greeter of Assay"),
    ],
)
def test_what_cannot_be_used_says_why_and_whose_it_is(
    greeters: Plugins[Greeter],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry: dict[str, str],
    reason: str,
) -> None:
    have(monkeypatch, tmp_path, GOOD, **entry)
    (name,) = entry
    for ask in (greeters.get, greeters.__getitem__, greeters.identity):
        with pytest.raises(AssayError, match=reason) as caught:
            ask(name)
        assert caught.value.place == f"entry point {name} = some_plugins:{entry[name]} of some-plugins 1.0"
        assert "some-plugins" in str(caught.value.hint) and caught.value.expected


def test_an_import_that_fails_is_one_error_with_its_cause(
    greeters: Plugins[Greeter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, tmp_path, "import nobody_has_this", good="GOOD")
    with pytest.raises(AssayError, match="ModuleNotFoundError: No module named 'nobody_has_this'") as caught:
        greeters["good"]
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_two_packages_with_one_name_are_an_error(
    greeters: Plugins[Greeter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, tmp_path / "a", GOOD, good="GOOD")
    other = install(tmp_path / "b", GOOD, {GROUP: {"good": "GOOD"}}, name="others", module="others")
    monkeypatch.syspath_prepend(str(other))
    assert list(greeters) == ["good"]
    with pytest.raises(AssayError, match="two packages") as caught:
        greeters["good"]
    assert "others" in str(caught.value.expected) and "some-plugins" in str(caught.value.expected)


def test_an_unknown_name_lists_those_that_are_there(
    greeters: Plugins[Greeter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, tmp_path, GOOD, good="GOOD")
    error = greeters.unknown("goood", "x.y")
    assert (error.place, error.value, error.expected) == ("x.y", "goood", "one of ours, good")


IDENTITY = (
    "import sys; from assay.core import Plugins; print(Plugins('assay.tests', 'g', object).identity('good'))"
)


def test_identity_changes_with_version_object_and_source(tmp_path: Path) -> None:
    def said(code: str, version: str) -> str:
        install(tmp_path, code, {GROUP: {"good": "GOOD"}}, version=version)
        path = f"{tmp_path}:{':'.join(part for part in sys.path if part)}"
        command = [sys.executable, "-B", "-c", IDENTITY]
        return subprocess.run(
            command, env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
        ).stdout

    first = said(GOOD, "1.0")
    assert first.startswith("some-plugins 1.0 (version 3, code ") and said(GOOD, "1.0") == first
    changed = {first, said(GOOD, "1.1"), said(GOOD.replace(", 3", ", 4"), "1.0"), said(GOOD + "#", "1.0")}
    assert len(changed) == 4


def test_identity_sees_all_files_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "wide_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "deep.py").write_text(GOOD)
    (package / "words.py").write_text("WORDS = 1")
    install(tmp_path, "", {GROUP: {}})
    entries = tmp_path / "some_plugins-1.0.dist-info" / "entry_points.txt"
    entries.write_text(f"[{GROUP}]\ngood = wide_plugins.deep:GOOD\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    greeters: Plugins[Greeter] = Plugins(GROUP, "greeter", Greeter)
    before = greeters.identity("good")
    (package / "words.py").write_text("WORDS = 2")
    _code.cache_clear()
    assert greeters.identity("good") != before


def test_nothing_of_ours_has_an_identity(greeters: Plugins[Greeter]) -> None:
    assert greeters.identity("ours") == "" == greeters.identity("nobody")


def test_a_metric_of_unknown_direction_is_refused() -> None:
    assert higher_is_better("score") and not higher_is_better("loss") and not METRICS
    with pytest.raises(AssayError, match="is unknown"):
        higher_is_better("speed")
