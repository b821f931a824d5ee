"""Other trainers: what each is told of a run, how it is started, and what it leaves as a model of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.model._lazy import lazy

if TYPE_CHECKING:
    from assay.model.external._folder import HandedBase, read_run, write_run
    from assay.model.external._receive import look, receive
    from assay.model.external._settings import ExternalRun
    from assay.model.external._start import environment_python, train_external
    from assay.model.external._tools import EXTERNAL, Tool, external_identity, external_tool

__all__ = [
    "EXTERNAL",
    "ExternalRun",
    "HandedBase",
    "Tool",
    "environment_python",
    "external_identity",
    "external_tool",
    "look",
    "read_run",
    "receive",
    "train_external",
    "write_run",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        _folder="HandedBase read_run write_run",
        _receive="look receive",
        _settings="ExternalRun",
        _start="environment_python train_external",
        _tools="EXTERNAL Tool external_identity external_tool",
    )
