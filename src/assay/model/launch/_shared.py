"""How much of a run others share, by its trainer.  No torch here: plans need it too."""

from __future__ import annotations

from assay.model.external import EXTERNAL
from assay.model.train import TRAINERS, Recipe


def shared_steps(recipe: Recipe, n_train: int) -> int:
    """Return how many first steps of a run larger runs share; none where the trainer takes whole runs alone.

    Of a plug-in its attribute ``whole_runs`` says that it does.
    """
    if recipe.trainer in EXTERNAL or getattr(TRAINERS.get(recipe.trainer), "whole_runs", False):
        return 0
    return recipe.shared_steps(n_train)
