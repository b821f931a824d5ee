"""What is installed, whether it works, and what each command needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from assay import core
from assay.core import Shown, page, say
from assay.plan import local_folder, open_store

NEEDS: Mapping[str, tuple[str, ...]] = {
    "train": ("demo", "study run", "train", "answer", "chat", "estimate", "export", "search", "rule run",
              "mix run"),
    "ui": ("serve", "annotate"),
    "llm": ("generate", "judge", "judge pairs"),
    "score": ("score", "select"),
    "rule": ("rule fit", "search"),
    "scale": ("train", "study run"),
    "ray": ("train", "study run"),
    "slurm": ("study run",),
    "s3": ("study run",),
    "quantize": ("export",),
    "gguf": ("export", "answer"),
    "curves": ("curve",),
}  # fmt: skip
"""Commands that an extra is for, those that need it most ahead."""
_TRY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Needed:
    """A package of an extra: its version here (None where it is not installed), and whether it can be loaded.

    ``loads`` is None where that was not tried; ``problem`` is why it does not.
    """

    extra: str
    package: str
    version: str | None
    loads: bool | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Doctor(Shown):
    """What is installed and works; ``extras`` are told by what they are for."""

    assay: str
    python: str
    device: str
    store: core.Text
    packages: tuple[Needed, ...]

    @property
    def ready(self) -> Mapping[str, bool]:
        """Return for each extra whether all of its packages are there, and load where that was tried."""
        found: dict[str, bool] = {}
        for one in self.packages:
            found[one.extra] = (
                found.get(one.extra, True) and one.version is not None and one.loads is not False
            )
        return found

    def as_page(self) -> core.Page:
        """Return what can be run, then what each extra lacks."""
        facts = core.Facts((
            ("Assay", self.assay), ("Python", self.python), (say("doctor.device"), self.device),
            (say("doctor.store"), self.store),
        ))  # fmt: skip
        columns = (
            core.Column(say("doctor.extra")), core.Column(say("doctor.for")),
            core.Column(say("doctor.state"), "@doctor.word"), core.Column(say("doctor.missing")),
        )  # fmt: skip
        rows = tuple(
            (extra, ", ".join(NEEDS.get(extra, ())), "yes" if ready else "no", self._lacking(extra))
            for extra, ready in self.ready.items()
        )
        problems = tuple(f"{p.package} {p.version}: {p.problem}" for p in self.packages if p.problem)
        lacking = [extra for extra, ready in self.ready.items() if not ready]
        install = f"pip install 'instruct-assay[{','.join(lacking)}]'"
        return page(
            facts,
            core.Table(columns, rows),
            core.Items(problems, "warning") if problems else None,
            core.next_command(install) if lacking else None,
        )

    def _lacking(self, extra: str) -> str:
        return ", ".join(p.package for p in self.packages if p.extra == extra and p.version is None)


def doctor(*, load: bool = False, store: core.File = Path(".assay")) -> Doctor:
    """Show what is installed and which commands it serves, and the package to install for the others.

    Example: `assay doctor`, or `assay doctor --load` to try every package

        >>> assay.doctor().ready["train"]
        True

    Parameters
    ----------
    load
        Load every installed package in a process of its own, to see that it works; takes a minute.
    store
        Folder of the store, or `s3://bucket/prefix`.
    """
    packages = tuple(_tried(one) if load and one.version else one for one in _needed())
    version = _version(core.DISTRIBUTION) or "?"
    return Doctor(version, sys.version.split()[0], _device(), _state(store), packages)


def _needed() -> Iterator[Needed]:
    """Yield the packages of every extra but those of developers, as the installed package states them."""
    for extra, package in core.packages_of_extras():
        yield Needed(extra, package, _version(package))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _tried(one: Needed) -> Needed:
    """Load a package in a process of its own, where a crash is only its own."""
    module = core.module_of(one.package)
    if find_spec(module) is None:
        return Needed(one.extra, one.package, one.version, False, f"no module {module}")
    command = [sys.executable, "-c", f"import {module}"]
    try:
        made = subprocess.run(command, capture_output=True, text=True, timeout=_TRY_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Needed(one.extra, one.package, one.version, False, f"loading took over {_TRY_SECONDS} s")
    last = (made.stderr.strip().splitlines() or [f"ended with status {made.returncode}"])[-1]
    return Needed(
        one.extra, one.package, one.version, made.returncode == 0, "" if made.returncode == 0 else last
    )


def _device() -> str:
    """Return the GPUs that the driver names, else cpu; torch is not loaded for it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "cpu"
    made = subprocess.run(  # noqa: S603
        [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"], capture_output=True, text=True,
        check=False, timeout=30,
    )  # fmt: skip
    return "; ".join(made.stdout.strip().splitlines()) or "cpu"


def _state(store: core.File) -> core.Text:
    """Return the store's place and how much room its disk (a shared one's cache) has."""
    place = local_folder(store)
    here = next(folder for folder in (place, *place.resolve().parents) if folder.is_dir())
    free = shutil.disk_usage(here).free / 1e9
    shown = str(store) if place == Path(store) else f"{open_store(store, create=False).address}, {place}"
    return say(f"doctor.store.{'there' if place.is_dir() else 'absent'}", place=shown, free=free)
