"""What the import contracts cannot see: imports by name, and tests that reach into other packages."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {path.relative_to(ROOT / "src"): path for path in (ROOT / "src").rglob("*.py")}


def package(module: str) -> str:
    return module.split(".")[1]


def test_only_two_imports_by_name_point_upwards() -> None:
    found = {
        (place.parts[1], package(module))
        for place, path in SOURCES.items()
        for module in re.findall(r'import_module\(\s*f?"(assay\.\w+)', path.read_text("utf-8"))
        if place.parts[1] not in (package(module), "_catalogue.py")
    }
    # A notebook shows a value through the view; `assay data show` needs a model's tokenizer.
    assert found == {("core", "view"), ("data", "jobs")}


PRIVATE = re.compile(r"\bassay\.[a-z]\w*\._\w+|(?<=from )assay\.[\w.]+(?= import [^\n]*\b_[a-z])")


def test_packages_meet_by_their_public_names() -> None:
    """But for modules that are the face of a package's functions (``assay.rule`` and others)."""
    reached = {
        (str(place), module)
        for place, path in SOURCES.items()
        if len(place.parts) > 2
        for module in PRIVATE.findall(path.read_text("utf-8"))
        if package(module) != place.parts[1]
    }
    assert reached == {(str(Path("assay/data/__init__.py")), "assay.jobs._data")}, "of `assay.data.show`"


def test_tests_import_no_private_name_of_another_package() -> None:
    """Mutators are no tests: they spoil the files of units that have no public face."""
    found = (ROOT / "tests").rglob("test_*.py")
    tests = {path: path.parent.name for path in found if path.parent.name != "tests"}
    reached = {
        (path.name, module)
        for path, folder in tests.items()
        for module in PRIVATE.findall(path.read_text("utf-8"))
        if package(module) != folder
    }
    assert not reached
