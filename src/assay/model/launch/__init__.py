"""A training on several processes: its job, launchers (accelerate, Ray) and engines; trainers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.model._lazy import lazy

if TYPE_CHECKING:
    from assay.model.launch._launch import trainer, trainer_identity
    from assay.model.launch._settings import Launch
    from assay.model.launch._shared import shared_steps

__all__ = [
    "Launch",
    "shared_steps",
    "trainer",
    "trainer_identity",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        _launch="trainer trainer_identity",
        _settings="Launch",
        _shared="shared_steps",
    )
