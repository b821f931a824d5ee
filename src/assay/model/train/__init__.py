"""Fine-tuning in segments on one device: the recipe, adapters, the engine, the loss, the state on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.model._lazy import lazy

if TYPE_CHECKING:
    from assay.model.train._engine import (
        Engine,
        LocalEngine,
        build_model,
        build_optimizer,
        causal,
        set_threads,
        use_kernels,
        use_packing,
        write_received,
        write_trained,
    )
    from assay.model.train._loss import Loss, linear_cross_entropy
    from assay.model.train._memory import out_of_memory
    from assay.model.train._recipe import PRESETS, Indices, Recipe, preset, read_recipe
    from assay.model.train._segment import TRAINERS, Advance, Segment, Trainer, TrainReport
    from assay.model.train._state import (
        WEIGHT,
        State,
        finish_state,
        has_state,
        load_state,
        save_state,
        trained,
        write_shards,
    )
    from assay.model.train._train import train_full, train_segment

__all__ = [
    "PRESETS",
    "TRAINERS",
    "WEIGHT",
    "Advance",
    "Engine",
    "Indices",
    "LocalEngine",
    "Loss",
    "Recipe",
    "Segment",
    "State",
    "TrainReport",
    "Trainer",
    "build_model",
    "build_optimizer",
    "causal",
    "finish_state",
    "has_state",
    "linear_cross_entropy",
    "load_state",
    "out_of_memory",
    "preset",
    "read_recipe",
    "save_state",
    "set_threads",
    "train_full",
    "train_segment",
    "trained",
    "use_kernels",
    "use_packing",
    "write_received",
    "write_shards",
    "write_trained",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        _engine=(
            "Engine LocalEngine build_model build_optimizer causal set_threads use_kernels "
            "use_packing write_received write_trained"
        ),
        _loss="Loss linear_cross_entropy",
        _memory="out_of_memory",
        _recipe="Indices PRESETS Recipe preset read_recipe",
        _segment="Advance Segment TRAINERS TrainReport Trainer",
        _state="State WEIGHT finish_state has_state load_state save_state trained write_shards",
        _train="train_full train_segment",
    )
