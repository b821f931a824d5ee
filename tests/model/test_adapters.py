"""LoRA, DoRA and QLoRA on every family: trained, saved alone, merged into the base they were trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.core import AssayError, Sample
from assay.model import (
    Recipe,
    Segment,
    TokenTable,
    TrainReport,
    base_name,
    load_model,
    load_tokenizer,
    preset,
    reference_loss,
    resolve_base,
    train_full,
    write_tokens,
)
from assay.model.base import Frozen, load_frozen
from assay.model.train import LocalEngine, State, trained, write_trained
from tiny_models import FAMILIES

SAMPLES = [
    Sample.single("Name the capital of France.", "The capital of France is Paris."),
    Sample.single("把下面的句子翻译成英文：我喜欢读书。", "I like reading books."),
    Sample.single("写一句关于春天的话。", "春天来了，花开满园，人们都走出家门。"),
    Sample.single("Sort these numbers: 3 1 2", "1 2 3"),
    Sample.single("中国的首都是哪里？", "中国的首都是北京。"),
    Sample.single("Explain rain to a child in one sentence.", "Clouds drop the water they carry."),
]
ORDER = np.arange(len(SAMPLES))
ADAPTERS = ("lora", "dora", "qlora")

Table = Callable[[Path], TokenTable]


@pytest.fixture(scope="session")
def table_of(tmp_path_factory: pytest.TempPathFactory) -> Table:
    made: dict[Path, TokenTable] = {}

    def build(base: Path) -> TokenTable:
        if base not in made:
            folder = tmp_path_factory.mktemp("tokens")
            write_tokens(load_tokenizer(base), SAMPLES, folder, max_tokens=256)
            made[base] = TokenTable(folder)
        return made[base]

    return build


def small(**changes: object) -> Recipe:
    defaults = {"batch_size": 2, "warmup_steps": 0, "learning_rate": 2e-2, "rank": 4, "alpha": 8}
    return preset("pocket", **{**defaults, **changes})


def train(base: Path, table: TokenTable, out: Path, recipe: Recipe, **part: Any) -> TrainReport:
    out.mkdir(parents=True, exist_ok=True)
    steps = recipe.steps(len(SAMPLES))
    segment = Segment(recipe, 5, len(SAMPLES), part.get("start", 0), part.get("stop", steps))
    return train_full(
        segment, base=base, state=part.get("state"), table=table, order=ORDER, out=out, device="cpu"
    )


def losses(model: Any, tokenizer: Any) -> list[float]:
    found = reference_loss(model, tokenizer, SAMPLES)
    return [loss.nats / loss.tokens for loss in found if loss is not None]


def unmerged(folder: Path, base: Path, frozen: Frozen) -> Any:
    """Load the adapter beside its base, as it was trained."""
    from peft import PeftModel

    return PeftModel.from_pretrained(load_frozen(base, frozen, "cpu"), folder).get_base_model().eval()


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_merged_adapter_has_the_loss_of_the_adapter(
    family: str, adapter: str, tiny: Callable[..., Path], table_of: Table, tmp_path: Path
) -> None:
    base = tiny(family)
    recipe = small(adapter=adapter)
    report = train(base, table_of(base), tmp_path, recipe)
    assert report.steps == 3 and report.notes == ()
    folder, tokenizer = tmp_path / "model", load_tokenizer(base)
    assert not list(folder.glob("model*.safetensors"))
    frozen = Frozen("fp32", "nf4" if adapter == "qlora" else None)
    beside = losses(unmerged(folder, base, frozen), tokenizer)
    merged = load_model(folder, base=base)
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert {p.dtype for p in merged.parameters()} == {torch.float32}
    untrained = losses(load_model(base), tokenizer)
    assert len(beside) == len(SAMPLES)
    moved = min(abs(a - b) for a, b in zip(beside, untrained, strict=True))
    assert moved > 0 and losses(merged, tokenizer) == pytest.approx(beside, rel=0, abs=0.02 * moved)
    merged.save_pretrained(tmp_path / "whole")
    assert losses(load_model(tmp_path / "whole"), tokenizer) == pytest.approx(beside, rel=0, abs=0.02 * moved)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_of_every_family_can_be_trained(
    family: str, tiny: Callable[..., Path], table_of: Table, tmp_path: Path
) -> None:
    base = tiny(family)
    report = train(base, table_of(base), tmp_path, small(learning_rate=1e-2, epochs=8))
    first, last = report.trace[0][1], report.trace[-1][1]
    assert last < 0.9 * first
    before, after = load_model(base).state_dict(), load_model(tmp_path / "model").state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_an_adapter_trains_all_linear_layers_but_the_head(tiny: Callable[..., Path]) -> None:
    for family in FAMILIES:
        engine = LocalEngine(tiny(family), small(adapter="lora"), 0, "cpu")
        head = engine.loss.head
        linear = [
            name
            for name, layer in engine.loss.model.named_modules()
            if type(layer).__name__ == "Linear" and hasattr(layer, "lora_A")
        ]
        left = [
            name
            for name, layer in engine.loss.model.named_modules()
            if isinstance(layer, torch.nn.Linear) and ".lora_" not in name and "base_layer" not in name
        ]
        assert linear
        assert [name for name in left if engine.loss.model.get_submodule(name) is not head] == []
        names = [name for name, _ in trained(engine.loss.model)]
        assert names
        assert all("lora_" in name for name in names)


def test_named_targets_alone_are_trained(base: Path) -> None:
    engine = LocalEngine(base, small(adapter="lora", targets=("q_proj", "v_proj")), 0, "cpu")
    names = {n.split(".lora_")[0].rsplit(".", 1)[1] for n, _ in trained(engine.loss.model)}
    assert names == {"q_proj", "v_proj"}
    with pytest.raises(AssayError, match="no layers that the adapter targets") as caught:
        LocalEngine(base, small(adapter="lora", targets=("query",)), 0, "cpu")
    assert caught.value.place == "recipe.targets"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_segments_of_an_adapter_chain_to_the_bit(
    adapter: str, base: Path, table_of: Table, tmp_path: Path
) -> None:
    table, recipe = table_of(base), small(adapter=adapter, adapter_dropout=0.1, schedule="constant", epochs=2)
    train(base, table, tmp_path / "whole", recipe)
    train(base, table, tmp_path / "trunk", recipe, stop=2)
    state = tmp_path / "trunk" / "state"
    train(base, table, tmp_path / "branch", recipe, start=2, state=state)
    name = "adapter_model.safetensors"
    written = [(tmp_path / run / "model" / name).read_bytes() for run in ("whole", "branch")]
    assert written[0] == written[1]
    assert all("lora_" in place for place in State(state)._places)


def test_a_bf16_base_is_merged_as_it_was_trained_on(base: Path, table_of: Table, tmp_path: Path) -> None:
    train(base, table_of(base), tmp_path, small(adapter="lora", dtype="bf16"))
    merged = load_model(tmp_path / "model", base=base)
    rounded = load_frozen(base, Frozen("bf16"), "cpu").float()
    name = "model.embed_tokens.weight"
    assert torch.equal(merged.state_dict()[name], rounded.state_dict()[name])


def test_the_frozen_base_is_held_in_few_bytes(base: Path) -> None:
    def held(**changes: object) -> int:
        model = LocalEngine(base, small(**changes), 0, "cpu").loss.model
        return sum(p.nbytes for p in model.parameters() if not p.requires_grad)

    whole = sum(p.nbytes for p in load_model(base).parameters())
    assert held(adapter="lora") == whole
    assert held(adapter="lora", dtype="bf16") == whole / 2
    assert held(adapter="qlora", dtype="bf16") < whole / 2


def test_an_adapter_says_its_base_by_name_and_never_by_path(
    base: Path, tiny: Callable[..., Path], table_of: Table, tmp_path: Path
) -> None:
    train(base, table_of(base), tmp_path / "pocket", small(adapter="lora"))
    config = json.loads((tmp_path / "pocket" / "model" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "pocket"
    other = tiny("bloom")
    train(other, table_of(other), tmp_path / "folder", small(adapter="dora"))
    for path in (tmp_path / "folder" / "model").iterdir():
        assert str(other).encode() not in path.read_bytes()
    assert base_name(resolve_base("pocket")) == "pocket"
    assert base_name(Path("/cache/hub/models--owner--my--model/snapshots/0f")) == "owner/my--model"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_weights_held_elsewhere_are_written_alike(adapter: str, base: Path, tmp_path: Path) -> None:
    """Where devices share the model, its weights are gathered by name and given to the writer."""
    engine = LocalEngine(base, small(adapter=adapter), 3, "cpu")
    engine.write_model(tmp_path / "held")
    weights = {name: p.detach().clone() for name, p in trained(engine.model)}
    with torch.no_grad():
        for _, parameter in trained(engine.model):
            parameter.zero_()
    write_trained(engine.model, base, engine.recipe, tmp_path / "given", weights)
    name = "adapter_model.safetensors"
    assert (tmp_path / "held" / name).read_bytes() == (tmp_path / "given" / name).read_bytes()


def test_an_adapter_without_or_on_another_base_is_an_error(
    base: Path, tiny: Callable[..., Path], table_of: Table, tmp_path: Path
) -> None:
    train(base, table_of(base), tmp_path, small(adapter="lora"))
    with pytest.raises(AssayError, match="base model is missing"):
        load_model(tmp_path / "model")
    with pytest.raises(AssayError, match="does not fit the base"):
        load_model(tmp_path / "model", base=tiny("llama"))


@pytest.mark.parametrize(
    "bad", [{"rank": 0}, {"alpha": 0}, {"adapter_dropout": 1.0}, {"adapter_dropout": -0.1}]
)
def test_bad_settings_of_adapters_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(AssayError, match="out of range"):
        Recipe(**bad)


def test_liger_is_refused_where_it_cannot_run(base: Path) -> None:
    with pytest.raises(AssayError, match="Liger kernels run on GPUs only"):
        LocalEngine(base, small(liger=True), 0, "cpu")
