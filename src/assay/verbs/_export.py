"""The verb of exports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assay.verbs import _progress as progress

if TYPE_CHECKING:
    from assay.release import Exported

Format = Literal["merged", "gptq8", "gptq4", "gptqmodel8", "gptqmodel4", "gguf-f16", "gguf-q8_0", "gguf-q4_k"]


def export(
    model: str,
    out: Path | None = None,
    *,
    to: list[Format] | None = None,
    evaluation: list[str] | None = None,
    calibration: list[str] | None = None,
    samples: int = 128,
    seed: int = 0,
    dtype: Literal["bf16", "fp16", "fp32"] = "bf16",
    shard: str = "5GB",
    max_new_tokens: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    study: Path | None = None,
    license: str | None = None,
    language: Literal["en", "zh"] | None = None,
    push: str | None = None,
    pool: str = "processes:1",
) -> Exported:
    """Write a model in the formats of others, and measure what each of them costs.

    Example: `assay export demo:random/6400 --to merged --to gptq8 --to gptq4 --to gguf-q4_k`

    Each format gets a folder with its model card; `export.html` shows size, speed and, type by type, the
    paired drop with its interval. A study's model is measured as its study did: evaluation set, decoding and
    judge are the study's own. What is done is not done twice.

    Parameters
    ----------
    model
        `pocket`, a folder (whole model or adapter), a Hugging Face id, or `study:arm/rung[/seedN]`.
    out
        Folder of the export; a study's model goes to `runs/STUDY/exports/` by default.
    to
        merged (safetensors), gptq8 or gptq4 (compressed-tensors), gptqmodel8 or gptqmodel4 (the older format,
        needs an environment of its own), gguf-f16, gguf-q8_0, gguf-q4_k; may be repeated.
    evaluation
        Evaluation sets, where not the study's own.
    calibration
        Data for GPTQ, where not the study's pool.
    samples
        How many samples GPTQ is calibrated on.
    seed
        Which samples these are.
    dtype
        Type of the weights of `merged`.
    shard
        Largest file of weights.
    max_new_tokens
        Answers are cut here, where not as in the study.
    threads
        CPU threads, where not as in the study.
    device
        auto, cpu or cuda.
    study
        The study's file; needed where a chat model judged it.
    license
        Licence of the exported model as the Hub names it (apache-2.0, cc-by-sa-4.0 ...).
    language
        Language of page and cards, where not as in the study.
    push
        Upload to the Hugging Face Hub as owner/name, private; the token is read from HF_TOKEN.
    pool
        Where steps run: `inline` or `processes:1`; speeds are measured, so one at a time.
    """
    from assay.release import ExportSettings
    from assay.release import export as write

    settings = ExportSettings(
        tuple(to or ("merged",)), tuple(evaluation or ()), tuple(calibration or ()), samples, seed=seed,
        dtype=dtype, shard=shard, max_new_tokens=max_new_tokens, threads=threads, device=device, study=study,
        license=license, language=language,
    )  # fmt: skip
    return write(model, out, settings, push=push, pool=pool, quiet=progress.quiet)
