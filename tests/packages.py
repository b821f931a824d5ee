"""Small packages with entry points, installed into a folder as pip would leave them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(
    folder: Path,
    code: str,
    entries: Mapping[str, Mapping[str, str]],
    *,
    name: str = "some-plugins",
    version: str = "1.0",
    module: str = "some_plugins",
) -> Path:
    """Write a module and the metadata of its distribution; ``entries`` are {group: {name: attribute}}."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    for old in folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, names in entries.items():
        lines += [f"[{group}]", *(f"{key} = {module}:{value}" for key, value in names.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder
