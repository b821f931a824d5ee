"""The work of each step of an export: merge, calibrate, quantize; measuring is that of a study."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from assay import data, model, selection
from assay.core import AssayError, to_json
from assay.plan import StepContext
from assay.study.steps import Tally, iterate

MODEL = "model"


def merged(context: StepContext) -> None:
    """Write the model as one folder of safetensors."""
    base = context.where["base"]
    model.merge(
        Path(context.where["model"]),
        context.out / MODEL,
        base=None if base is None else Path(base),
        dtype=context.config["dtype"],
        shard=context.config["shard"],
        template=context.config["template"],
    )


def calibration(context: StepContext) -> None:
    """Choose the samples that GPTQ is calibrated on: at random among those with an answer, by seed."""
    if "pool" in context.inputs:
        pool = list(data.Dataset(context.inputs["pool"] / "dataset"))
    else:
        rows = iterate(context.config, context.where, Tally(), lambda row: None, context.progress)
        pool = list({sample.id: sample for _, sample in rows if sample.answer}.values())
    order = selection.pick([sample.id for sample in pool], "random", seed=context.config["seed"])
    chosen = [pool[row] for row in order[: context.config["samples"]].tolist()]
    if not chosen:
        raise AssayError("no sample to calibrate on", place="--calibration", expected="samples with answers")
    data.write_dataset(chosen, context.out / "dataset")


def gptq(context: StepContext) -> None:
    """Quantize the whole model by GPTQ."""
    config = context.config
    model.set_threads(config["threads"])
    settings = {"max_tokens": config["max_tokens"]}
    source = context.inputs["source"] / MODEL
    samples = list(data.Dataset(context.inputs["calibration"] / "dataset"))
    if config["by"] == "gptqmodel":
        made = model.quantize_gptqmodel(source, context.out / MODEL, config["bits"], samples, **settings)
    else:
        device = model.pick_device(context.where["device"])
        made = model.quantize_gptq(
            source, context.out / MODEL, config["bits"], samples,
            device=device, shard=config["shard"], advance=context.progress, **settings,
        )  # fmt: skip
    data.write_json(context.out / "quantized.json", dataclasses.asdict(made))


def gguf(context: StepContext) -> None:
    """Write the whole model as a GGUF file, with a Modelfile for Ollama and the tokenizer for the chat."""
    source, folder = context.inputs["source"] / MODEL, context.out / MODEL
    folder.mkdir(exist_ok=True)
    made = model.write_gguf(
        source, folder / f"model-{context.config['kind']}.gguf", context.config["kind"], context.progress
    )
    data.write_json(context.out / "gguf.json", {"agreement": made.agreement, "notes": to_json(made.notes)})
    model.write_modelfile(source, made.path)
    model.load_tokenizer(source).save_pretrained(folder)
