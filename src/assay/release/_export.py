"""Export a model in several formats, and prove on the study's own evaluation set what each of them costs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from assay import core, data, view
from assay import plan as planning
from assay._version import __version__
from assay.core import (
    AssayError,
    ExportCard,
    ExportedFile,
    ExportPage,
    File,
    Sample,
    Shown,
    StudyResult,
    canonical_json,
    digest,
    page,
    read_json,
    say,
    usable_cores,
)
from assay.model import POCKET, base_digest, base_name
from assay.plan import Estimate, Step, Store, open_store
from assay.release._proof import loss_drops, losses, same_answers, score_drops
from assay.release._steps import MODEL
from assay.study import (
    MeasureConfig,
    ModelPlace,
    StudyModel,
    answering_cost,
    find_model,
    kept,
    read_config,
    read_models,
)
from assay.study.steps import (
    ITEMS,
    SPEED,
    Runtime,
    answer_step,
    check_step,
    file_settings,
    judge_step,
    judgements_of,
    read_step,
    runtime_of,
)

ExportFormat: TypeAlias = Literal[
    "merged", "gptq8", "gptq4", "gptqmodel8", "gptqmodel4", "gguf-f16", "gguf-q8_0", "gguf-q4_k"
]
PAGE = "export.html"
_STEPS = "assay.release._steps"
_SMALLEST = 0.01


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What to write and what to measure it on; None and () stand for the study's own.

    ``samples`` for calibration, drawn by ``seed`` and cut at ``calibration_tokens``; ``study``: the study's
    file, needed where a chat model judges; ``license``: that of the exported model, as the Hub names it.
    """

    to: tuple[ExportFormat, ...] = ("merged",)
    evaluation: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()
    samples: int = 128
    calibration_tokens: int = 512
    seed: int = 0
    dtype: Literal["bf16", "fp16", "fp32"] = "bf16"
    shard: str = "5GB"
    max_new_tokens: int | None = None
    threads: int | None = None
    device: str = "auto"
    study: Path | None = None
    license: str | None = None
    language: Literal["en", "zh"] | None = None


@dataclass(frozen=True, slots=True)
class Exported(Shown):
    """Where an export lies: its folder, its page, the page's values, and what was pushed to the Hub."""

    folder: str
    page: str
    proof: ExportPage
    pushed: tuple[str, ...] = ()

    def as_page(self) -> core.Page:
        """Return what was written and what each file costs, then where it is."""
        places = core.Items((say("export.folder", path=self.folder), *self.pushed))
        return page(*view.export_summary(self.proof), places, language=self.proof.language)


@dataclass(frozen=True, slots=True)
class _Origin:
    """A model with what its study knows of it: evaluation set, pool, how it was measured and judged."""

    place: ModelPlace
    model: StudyModel | None
    store: Store
    evaluation: Step | None
    pool: Step | None
    measure: MeasureConfig
    seed: int
    threads: int
    template: str
    judge: Mapping[str, Any] | None
    result: StudyResult | None

    @property
    def label(self) -> str:
        """Return the model's name as it may be published: of a folder its end, not where it lies."""
        name = self.place.label
        return "/".join(Path(name).parts[-2:]) if Path(name).expanduser().is_dir() else name


def export(
    model: str,
    out: File | None = None,
    *,
    to: Sequence[ExportFormat] = ("merged",),
    evaluation: Sequence[str] = (),
    calibration: Sequence[str] = (),
    samples: int = 128,
    seed: int = 0,
    dtype: Literal["bf16", "fp16", "fp32"] = "bf16",
    shard: str = "5GB",
    max_new_tokens: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    study: File | None = None,
    license: str | None = None,
    language: Literal["en", "zh"] | None = None,
    push: str | None = None,
    pool: str = "processes:1",
    runs: File = Path("runs"),
    cap: str | None = None,
) -> Exported:
    """Export a model to other formats, and measure what each of them costs in quality.

    Example: `assay export demo:random/6400 --to merged --to gptq8 --to gptq4 --to gguf-q4_k`

        >>> assay.export("pocket", "out", pool="inline").proof.files[0].format
        'merged'

    Each format gets a folder with a model card; `export.html` shows size, speed and the paired drop per
    type with its interval. A study's model is measured with the study's own evaluation set, decoding and
    judge. Finished work is reused.

    Parameters
    ----------
    model
        `pocket`, a folder (whole model or adapter), a Hugging Face id, or `study:arm/rung[/seedN]`.
    out
        Folder for the export; `runs/STUDY/exports/` by default for a study's model.
    to
        merged (safetensors), gptq8 or gptq4 (compressed-tensors), gptqmodel8 or gptqmodel4 (the older format,
        needs an environment of its own), gguf-f16, gguf-q8_0, gguf-q4_k; may be repeated.
    evaluation
        Evaluation sets; by default the study's own.
    calibration
        Calibration data for GPTQ; by default the study's pool.
    samples
        Number of calibration samples for GPTQ.
    seed
        Random seed for the calibration samples.
    dtype
        Type of the weights of `merged`.
    shard
        Maximum size of a weight file.
    max_new_tokens
        Maximum length of an answer, in tokens; by default as in the study.
    threads
        CPU threads; by default as in the study.
    device
        auto, cpu or cuda.
    study
        Study file (YAML); needed if a chat model judged the study.
    license
        Licence of the exported model as the Hub names it (apache-2.0, cc-by-sa-4.0 ...).
    language
        Language of page and cards; by default the study's.
    push
        Upload to the Hugging Face Hub as owner/name, private; the token is read from HF_TOKEN.
    pool
        Where steps run: `inline` or `processes:1`; one at a time, because speed is measured.
    runs
        Folder of the study reports.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what is finished is kept, and the same command goes on.
    """
    settings = ExportSettings(
        tuple(to), tuple(evaluation), tuple(calibration), samples, seed=seed, dtype=dtype, shard=shard,
        max_new_tokens=max_new_tokens, threads=threads, device=device,
        study=None if study is None else Path(study), license=license, language=language,
    )  # fmt: skip
    unknown = [kind for kind in settings.to if kind not in get_args(ExportFormat)]
    if unknown or not settings.to:
        raise AssayError("no such format", place="--to", value=", ".join(unknown) or None,
                         expected=", ".join(get_args(ExportFormat)))  # fmt: skip
    if push is not None:
        _check_hub(push)
    origin = _origin(find_model(model, runs=Path(runs)), settings)
    folder = _folder(origin.place, None if out is None else Path(out))
    steps = {"": _merged(origin, settings, "fp32")}
    steps |= {kind: _made(kind, origin, settings, steps[""]) for kind in dict.fromkeys(settings.to)}
    measured = {kind: _measured(kind, step, origin, settings) for kind, step in steps.items()}
    wanted = [*steps.values(), *(step for pair in measured.values() for step in pair if step is not None)]
    # A study of the same name elsewhere has exports of its own.
    of = digest(str((origin.place.study or origin.place.folder).resolve()))
    origin.store.register(f"export {origin.label.replace('/', '-')}", wanted, of)
    with planning.metered(cap) as meter, planning.parse_pool(pool) as workers:
        planning.run(wanted, origin.store, workers)
        meter.per["file"] = len(settings.to)
    page = _page(origin, settings, steps, measured)
    _publish(origin, settings, page, steps, folder)
    pushed = _push(folder, page, push) if push is not None else ()
    if origin.place.study is not None and folder.parent == origin.place.study / view.EXPORTS:
        view.show_exports(origin.place.study)
    return Exported(str(folder), str(folder / PAGE), page, pushed)


def _folder(place: ModelPlace, out: Path | None) -> Path:
    """Return where the export goes; refuse a folder that holds something else."""
    if out is None and place.study is None:
        raise AssayError("no folder to write to", place="OUT", expected="a folder",
                         hint="only a study's model has a place of its own")  # fmt: skip
    own = place.label.partition(":")[2].replace("/", "-")
    folder = out if out is not None or place.study is None else place.study / view.EXPORTS / own
    assert folder is not None  # noqa: S101 - one of the two is there
    if folder.exists() and not (folder / view.EXPORT_VALUES).is_file() and any(folder.iterdir()):
        raise AssayError("the folder holds something else", place=str(folder),
                         expected="an empty folder, or an earlier export", hint="choose another")  # fmt: skip
    return folder


def _origin(place: ModelPlace, settings: ExportSettings) -> _Origin:
    """Return a model with its study's evaluation set, pool and settings, or with those of the command."""
    model = result = evaluation = pool = None
    store, measured = open_store(".assay"), dict[str, Any]()
    judge: Mapping[str, Any] | None = {"method": "auto"}
    if place.study is not None:
        models, written = read_models(place.study), place.study / "result.json"
        model = next(m for m in models.models if place.label.endswith(f":{m.name}"))
        found = kept(models, model)
        store, measured, judge = open_store(models.store), dict(found.measure), found.judge
        evaluation, pool = found.evaluation, found.pool
        result = view.load_result(written) if written.is_file() else None
    measure = MeasureConfig.of(measured)
    if settings.max_new_tokens is not None:
        measure = replace(measure, max_new_tokens=settings.max_new_tokens)
    if settings.evaluation:
        evaluation = read_step("evaluation", settings.evaluation, key="--evaluation")
    threads = settings.threads or measured.get("threads") or usable_cores()
    return _Origin(
        place, model, store, evaluation, pool, measure, measured.get("seed", 0), threads,
        measured.get("template", "auto"), judge, result,
    )  # fmt: skip


def _merged(origin: _Origin, settings: ExportSettings, dtype: str) -> Step:
    place = origin.place
    config: dict[str, Any] = {"model": base_digest(place.folder), "dtype": dtype, "shard": settings.shard}
    config |= {"base": None if place.base is None else base_digest(place.base)}
    config |= {"template": origin.template}
    where = {"model": str(place.folder), "base": None if place.base is None else str(place.base)}
    return Step("export-merged", 1, f"{_STEPS}:merged", config, where=where, label=f"{place.label} {dtype}")


def _made(kind: str, origin: _Origin, settings: ExportSettings, source: Step) -> Step:
    """Return the step that writes one format, from the whole model and never from another export."""
    if kind == "merged":
        return _merged(origin, settings, settings.dtype)
    inputs, label = {"source": source}, f"{origin.place.label} {kind}"
    family, _, variant = kind.partition("-")
    if family == "gguf":
        return Step("export-gguf", 2, f"{_STEPS}:gguf", {"kind": variant}, inputs, label=label)
    by, bits = kind[:-1], int(kind[-1])
    config = {"bits": bits, "by": by, "max_tokens": settings.calibration_tokens, "shard": settings.shard}
    config |= {"threads": origin.threads}
    where = {"device": settings.device}
    inputs["calibration"] = _calibration(origin, settings)
    return Step("export-gptq", 1, f"{_STEPS}:gptq", config, inputs, where=where, label=label,
                estimate=Estimate(seconds=30))  # fmt: skip


def _measuring_cost(origin: _Origin, runs: Runtime) -> Estimate:
    """Return what measuring the model takes, where its evaluation set was read before."""
    assert origin.evaluation is not None  # noqa: S101 - only what has a set is measured
    if not origin.store.has(origin.evaluation.key):
        return Estimate(kind=runs.backend)
    place = origin.place
    return answering_cost(origin.store, origin.evaluation, place.base or place.folder, origin.measure, runs)


def _calibration(origin: _Origin, settings: ExportSettings) -> Step:
    config: dict[str, Any] = {"samples": settings.samples, "seed": settings.seed}
    call, label = f"{_STEPS}:calibration", f"{settings.samples} samples"
    if settings.calibration:
        files, where = file_settings(settings.calibration, Path(), "--calibration")
        return Step("calibration", 1, call, config | files, where=where, label=label)
    if origin.pool is None:
        raise AssayError("no samples to calibrate GPTQ on", place="--calibration",
                         expected="a data set like the one the model was trained on")  # fmt: skip
    return Step("calibration", 1, call, config, {"pool": origin.pool}, label=label)


def _measured(
    kind: str, step: Step, origin: _Origin, settings: ExportSettings
) -> tuple[Step | None, Step | None]:
    """Return the steps that measure and judge one format; none without an evaluation set."""
    if origin.evaluation is None:
        return None, None
    evaluation, label = origin.evaluation, f"{origin.place.label} {kind or 'before export'}"
    runs = runtime_of(settings.device, gguf=kind.startswith("gguf"))
    answers = answer_step(
        evaluation, step, origin.measure, runs, seed=origin.seed, threads=origin.threads,
        template=origin.template, timed=True, label=label, estimate=_measuring_cost(origin, runs),
    )  # fmt: skip
    if not origin.measure.answers or origin.judge is None:
        return answers, None
    if "method" in origin.judge:
        return answers, check_step(evaluation, answers, origin.judge["method"], label)
    if settings.study is None:
        raise AssayError(
            "a chat model judged this study", place="--study", expected="the study's file",
            hint="the model's address and budget are in it; replies that are known cost nothing",
        )  # fmt: skip
    items = 250 if origin.result is None else origin.result.evaluation.samples
    tokens, both = 200 + origin.measure.max_new_tokens, {"evaluation": evaluation, "answers": answers}
    return answers, judge_step(read_config(settings.study), both, label, items=items, tokens=tokens)


class _Measured:
    """What was measured of one format, read from its steps' objects."""

    def __init__(self, store: Store, answers: Step, judged: Step | None) -> None:
        import polars

        folder = store.path(answers.key)
        self.table = polars.read_parquet(folder / ITEMS).to_dict(as_series=False)
        self.speed: dict[str, Any] = read_json(folder / SPEED)
        self.judgements = [] if judged is None else judgements_of(store.path(judged.key))


def _page(
    origin: _Origin,
    settings: ExportSettings,
    steps: Mapping[str, Step],
    measured: Mapping[str, tuple[Step | None, Step | None]],
) -> ExportPage:
    store = origin.store
    found = {k: _Measured(store, a, j) for k, (a, j) in measured.items() if a is not None}
    before = found.get("")
    items: list[Sample] = []
    if origin.evaluation is not None:
        items = list(data.Dataset(store.path(origin.evaluation.key) / "dataset"))
    smallest = _SMALLEST if origin.result is None else origin.result.question["smallest_gain"] or _SMALLEST
    methods = sorted({row.method for row in before.judgements}) if before is not None else []
    files = tuple(
        _file(kind, store.path(step.key), items, before, found.get(kind), smallest)
        for kind, step in steps.items()
        if kind
    )
    language = settings.language or ("en" if origin.result is None else origin.result.language)
    return ExportPage(
        model=origin.label,
        language=language,
        items=len(items),
        scored_by=", ".join(methods),
        calibration=_calibrated(store, steps),
        device="cpu" if before is None else str(before.speed["device"]),
        threads=int(origin.threads),
        bytes=_weights(store.path(steps[""].key) / MODEL),
        tokens_per_second=None if before is None else before.speed["tokens_per_second"],
        files=files,
    )


def _calibrated(store: Store, steps: Mapping[str, Step]) -> int:
    """Return how many samples GPTQ was calibrated on; 0 where nothing was."""
    made = [
        store.path(step.key) / "quantized.json" for kind, step in steps.items() if kind.startswith("gptq")
    ]
    return max((int(read_json(path)["samples"]) for path in made), default=0)


def _file(
    kind: str,
    folder: Path,
    items: Sequence[Sample],
    before: _Measured | None,
    after: _Measured | None,
    smallest: float,
) -> ExportedFile:
    drops = []
    same = speed = None
    if before is not None and after is not None:
        if before.judgements:
            drops += score_drops(before.judgements, after.judgements, smallest)
            same = same_answers(before.table["answer"], after.table["answer"])
        if any(losses(before.table)):
            drops += loss_drops(items, losses(before.table), losses(after.table))
        speed = after.speed["tokens_per_second"]
    gguf = sorted(folder.glob(f"{MODEL}/*.gguf"))
    path = f"{kind}/{gguf[0].name}" if gguf else kind
    notes = read_json(folder / "gguf.json")["notes"] if gguf else ()
    backend = "llama.cpp" if gguf else "transformers"
    weights = _weights(folder / MODEL)
    said = tuple(map(core.stored_text, notes))
    return ExportedFile(kind, path, weights, backend, speed, same, tuple(drops), said)


def _weights(folder: Path) -> int:
    return sum(p.stat().st_size for kind in ("*.safetensors", "*.gguf") for p in folder.glob(kind))


def _publish(
    origin: _Origin, settings: ExportSettings, page: ExportPage, steps: Mapping[str, Step], folder: Path
) -> None:
    """Write the proof, then every format with its card; each folder appears whole."""
    with data.replacing_text(folder / view.EXPORT_VALUES) as file:
        file.write(canonical_json(page) + "\n")
    card = _card(origin, settings, page)
    for file_ in page.files:
        with data.replacing_folder(folder / file_.format) as partial:
            made = origin.store.path(steps[file_.format].key) / MODEL
            shutil.copytree(made, partial, dirs_exist_ok=True)
            (partial / "README.md").write_text(view.model_card(card, file_), encoding="utf-8")
    if card.study is not None:
        with data.replacing_text(folder / "data_card.md") as text:
            text.write(view.data_card(replace(card.study, language=page.language)))
    view.write_page(view.export_page(page), folder / PAGE)


def _card(origin: _Origin, settings: ExportSettings, page: ExportPage) -> ExportCard:
    """Return what is known of the model for its card; a licence that is not stated is None."""
    place, result, model = origin.place, origin.result, origin.model
    base = place.base or (place.folder if model is None else model.base)
    known = base_name(base)
    run = None
    if result is not None and model is not None:
        wanted = (model.arm, model.n_train, model.seed)
        run = next((row for row in result.runs if (row.arm, row.n_train, row.seed) == wanted), None)
    return ExportCard(
        base=known or base.name,
        base_id=known if known != POCKET else None,
        base_license=view.stated_license(base),
        license=settings.license,
        version=__version__,
        page=page,
        study=result,
        run=run,
    )


def _check_hub(repo: str) -> None:
    """Refuse a push that cannot succeed before anything is written."""
    if repo.count("/") != 1:
        raise AssayError("no name on the Hub", place="--push", value=repo, expected="owner/name")
    if not os.environ.get("HF_TOKEN"):
        raise AssayError("no token for the Hub", place="environment variable HF_TOKEN",
                         expected="a token that may write to it")  # fmt: skip


def _push(folder: Path, page: ExportPage, repo: str) -> tuple[str, ...]:
    """Upload every format, private: `merged` under the name itself, the others with their own added."""
    from huggingface_hub import HfApi

    hub, pushed = HfApi(token=os.environ["HF_TOKEN"]), []
    for file in page.files:
        name = repo if file.format == "merged" else f"{repo}-{file.format}"
        hub.create_repo(name, private=True, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder / file.format)
        pushed.append(f"https://huggingface.co/{name}")
    return tuple(pushed)
