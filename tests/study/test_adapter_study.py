"""Adapters in studies and single jobs: only the adapter is kept, and it is read on its base."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import assay
from assay import data, model, study
from assay.core import AssayError

RECIPE = {"preset": "pocket", "batch_size": 16, "adapter": "lora", "rank": 4, "learning_rate": 1e-2}


def test_a_study_of_adapters_keeps_and_reads_adapters(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = study_file(recipe=RECIPE, ladder={"rungs": [32, 64], "seeds": 1}, measure={"answers": False})
    result = study.run(path)
    loss = {p.n_train: p.value for p in result.points if p.metric == "loss" and p.type == "overall"}
    assert loss[64] < loss[0] - 0.1
    assert (result.recipe["adapter"], result.recipe["rank"]) == ("lora", 4)
    place = study.find_model("report:random/64", runs=tmp_path)
    names = {file.name for file in place.folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names
    assert not any(name.startswith("model") for name in names)
    settings = {"split": "eval", "seed": 1, "types": ("classification", "code")}
    items = [planted.sample for planted in data.synthetic.generate(16, **settings)]
    tokenizer = model.load_tokenizer(place.folder)
    network = model.load_model(place.folder, base=place.base)
    own = [one for one in model.reference_loss(network, tokenizer, items) if one is not None]
    assert sum(one.nats for one in own) / sum(one.tokens for one in own) == pytest.approx(loss[64], rel=0.05)


def test_one_training_takes_settings_and_its_adapter_answers(
    tiny: Callable[..., Path], tmp_path: Path
) -> None:
    place = tmp_path / "rows.jsonl"
    rows = [
        ("Name a colour.", "Blue."),
        ("说出一种颜色。", "蓝色。"),
        ("Count to 3.", "1 2 3"),
        ("数到三。", "一二三"),
    ]
    place.write_text(
        "".join(json.dumps({"instruction": q, "output": a}, ensure_ascii=False) + "\n" for q, a in rows),
        encoding="utf-8",
    )
    changes = ("adapter=dora", "rank=2", "batch_size=2", "targets=[query_key_value]", "epochs=1")

    def train(out: Path, changes: tuple[str, ...]) -> assay.Trained:
        return assay.train(
            str(place), out, base=str(tiny("bloom")), recipe="belle-lora", device="cpu", set=changes,
            store=tmp_path / "store",
        )  # fmt: skip

    train(tmp_path / "tuned", changes)
    folder = tmp_path / "tuned" / "model"
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["use_dora"], config["target_modules"]) == (2, True, ["query_key_value"])
    answered = assay.answer(
        str(folder), str(place), tmp_path / "answers.jsonl", max_new_tokens=4, store=tmp_path / "store"
    )
    assert answered.items == 4
    tokenizer = model.load_tokenizer(folder)
    items = list(assay.load(place))
    merged = model.load_model(folder, base=tiny("bloom"))
    losses = [loss for loss in model.reference_loss(merged, tokenizer, items) if loss is not None]
    assert answered.loss == pytest.approx(sum(one.nats for one in losses) / sum(one.tokens for one in losses))
    assert config["base_model_name_or_path"] == str(tiny("bloom").resolve())
    with pytest.raises(AssayError) as caught:
        train(tmp_path / "other", ("rnk=2",))
    assert caught.value.hint == "did you mean `rank`?"
