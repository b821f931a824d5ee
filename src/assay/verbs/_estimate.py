"""The verb that says before a training what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from assay.model import TrainingEstimate


def estimate(
    base: str,
    *,
    recipe: str | None = None,
    set: list[str] | None = None,
    samples: int = 50_000,
    tokens_per_sample: float = 250.0,
    devices: int = 1,
    gpu: str | None = None,
    memory: float | None = None,
    strategy: Literal["fsdp", "zero2", "zero3"] = "fsdp",
    offload: bool = False,
) -> TrainingEstimate:
    """Say before a training whether it fits, how long it takes, and the cheapest change with which it fits.

    Only the base's config.json is read; nothing is loaded or run. Time is a range: at 50 to 25 % of the
    devices' peak.

    Example: `assay estimate bigscience/bloom-7b1 --set dtype=bf16 --samples 200000 --devices 8 --memory 80`

    Parameters
    ----------
    base
        `pocket`, a folder with config.json, or a Hugging Face id.
    recipe
        A preset: pocket, belle or belle-lora (the default is the one that fits the base).
    set
        A setting of the recipe, `adapter=lora`, `gradient_checkpointing=true`; may be repeated.
    samples
        Training samples; the recipe says how many passes are made.
    tokens_per_sample
        Their mean length.
    devices
        How many GPUs share the training.
    gpu
        A well-known one: t4, v100-16, v100-32, 3090, 4090, a100-40, l40s, a100-80, h100, h200; or cpu.
    memory
        Of one device, in GiB; without it and --gpu, the smallest well-known machine that fits.
    strategy
        How devices share it: fsdp, or DeepSpeed's zero2 or zero3.
    offload
        Keep what is shared out in the machine's memory.
    """
    from assay import jobs
    from assay.model import Launch

    return jobs.estimate_base(
        base,
        recipe=recipe,
        changes=set or (),
        samples=samples,
        tokens_per_sample=tokens_per_sample,
        launch=Launch(devices, strategy, offload),
        gpu=gpu,
        memory=memory,
    )
