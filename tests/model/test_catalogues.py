"""Each catalogue of the model package offers what it lists, and torch is loaded only by what needs it."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

from assay import model

PACKAGES = ["assay.model", *(p.name for p in pkgutil.iter_modules(model.__path__, "assay.model.") if p.ispkg)]
LIGHT = """
from assay.model import (
    DEVICES, LEXICAL, MINILM, POCKET, PRESETS, TEMPLATES, Device, Embedder, Encoded, Launch, Recipe, Segment,
    Shape, TokenTable, TrainingEstimate, base_digest, embedder, embedder_id, encode, estimate_training,
    find_shape, load_model, load_tokenizer, merge, model_folder, pick_device, preset, read_recipe, read_shape,
    render, resolve_base, smallest_machine, stop_ids, training_memory, vllm_answer, vllm_python, write_tokens,
)
base = resolve_base(POCKET)
estimate_training(read_shape(base), preset("pocket"), DEVICES["cpu"], launch=Launch(), tokens=1.0)
import sys
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""


def test_there_are_catalogues() -> None:
    assert {"assay.model.base", "assay.model.train", "assay.model.launch"} < set(PACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_of_a_catalogue_is_there(name: str) -> None:
    package = import_module(name)
    assert [n for n in package.__all__ if not hasattr(package, n)] == []
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = package.nothing


def test_plans_and_estimates_load_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
