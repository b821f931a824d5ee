"""Export a model in several formats, and prove on the study's own evaluation set what each of them costs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from assay import __version__, data, judging, view
from assay import plan as planning
from assay.core import (
    AssayError,
    ExportCard,
    ExportedFile,
    ExportPage,
    Sample,
    StudyResult,
    canonical_json,
)
from assay.model import POCKET, base_digest, base_name
from assay.plan import Estimate, Step, Store
from assay.release._proof import loss_drops, losses, same_answers, score_drops
from assay.release._steps import MODEL
from assay.study._config import MeasureConfig, read_config
from assay.study._find import ModelPlace, StudyModel, find_model, read_models
from assay.study._graph import expand, place_digest
from assay.study._kept import kept
from assay.study.steps import judge_step

ExportFormat: TypeAlias = Literal[
    "merged", "gptq8", "gptq4", "gptqmodel8", "gptqmodel4", "gguf-f16", "gguf-q8_0", "gguf-q4_k"
]
PAGE = "export.html"
_STEPS = "assay.release._steps"
_MEASURE = (
    "loss", "answers", "max_tokens", "max_new_tokens", "temperature", "top_p", "seed", "threads",
)  # fmt: skip
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
class Exported:
    """Where an export lies: its folder, its page, the page's values, and what was pushed to the Hub."""

    folder: str
    page: str
    proof: ExportPage
    pushed: tuple[str, ...] = ()

    def __rich__(self) -> Any:
        """Return the proof as the terminal shows it."""
        return view.export_summary(self.proof, Path(self.folder), self.pushed)


@dataclass(frozen=True, slots=True)
class _Origin:
    """A model with what its study knows of it: evaluation set, pool, how it was measured and judged."""

    place: ModelPlace
    model: StudyModel | None
    store: Store
    evaluation: Step | None
    pool: Step | None
    measure: Mapping[str, Any]
    judge: Mapping[str, Any] | None
    result: StudyResult | None

    @property
    def label(self) -> str:
        """Return the model's name as it may be published: of a folder its end, not where it lies."""
        name = self.place.label
        return "/".join(Path(name).parts[-2:]) if Path(name).expanduser().is_dir() else name


def export(
    name: str,
    out: Path | None,
    settings: ExportSettings,
    *,
    push: str | None = None,
    pool: str = "processes:1",
    runs: Path = Path("runs"),
    quiet: bool = False,
) -> Exported:
    """Write the model ``name`` in every wanted format to ``out``, with cards and the proof of the export.

    What is in the store is not done twice.  Without ``out`` a study's model goes to the study's folder; its
    report is then written again, with a section on its exports.  Raises :class:`AssayError` for anything a
    user can mend.
    """
    unknown = [kind for kind in settings.to if kind not in get_args(ExportFormat)]
    if unknown or not settings.to:
        raise AssayError("no such format", place="--to", value=", ".join(unknown) or None,
                         expected=", ".join(get_args(ExportFormat)))  # fmt: skip
    if push is not None:
        _check_hub(push)
    origin = _origin(find_model(name, runs=runs), settings)
    folder = _folder(origin.place, out)
    steps = {"": _merged(origin, settings, "fp32")}
    steps |= {kind: _made(kind, origin, settings, steps[""]) for kind in dict.fromkeys(settings.to)}
    measured = {kind: _measured(kind, step, origin, settings) for kind, step in steps.items()}
    wanted = [*steps.values(), *(step for pair in measured.values() for step in pair if step is not None)]
    origin.store.register(f"export {origin.label.replace('/', '-')}", wanted)
    with planning.parse_pool(pool) as workers:
        planning.run(wanted, origin.store, workers, quiet=quiet)
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
    if place.study is None:
        origin = _Origin(place, None, Store(Path(".assay")), None, None, {}, {"method": "auto"}, None)
    else:
        models, result = read_models(place.study), place.study / "result.json"
        model = next(m for m in models.models if place.label.endswith(f":{m.name}"))
        found = kept(models, model)
        read = view.load_result(result) if result.is_file() else None
        origin = _Origin(
            place, model, Store(models.store), found.evaluation, found.pool, found.measure, found.judge, read
        )
    defaults = asdict(MeasureConfig()) | {"seed": 0, "threads": os.cpu_count() or 1, "template": "auto"}
    wanted = {"max_new_tokens": settings.max_new_tokens, "threads": settings.threads}
    own = {name: value for name, value in wanted.items() if value is not None}
    measure = {**defaults, **{k: v for k, v in origin.measure.items() if k in defaults}, **own}
    if not settings.evaluation:
        return replace(origin, measure=measure)
    files, where = _files(settings.evaluation, "--evaluation")
    call = "assay.study.steps:read_evaluation"
    evaluation = Step("read-evaluation", 1, call, files, where=where, label="evaluation")
    return replace(origin, measure=measure, evaluation=evaluation)


def _files(places: tuple[str, ...], place: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return files as a step's config and its places."""
    found = expand(places, Path(), place)
    entries = [{"name": Path(path).name, "digest": place_digest(path)} for path in found]
    return {"files": entries}, {f"file/{index}": path for index, path in enumerate(found)}


def _merged(origin: _Origin, settings: ExportSettings, dtype: str) -> Step:
    place = origin.place
    config: dict[str, Any] = {"model": base_digest(place.folder), "dtype": dtype, "shard": settings.shard}
    config |= {"base": None if place.base is None else base_digest(place.base)}
    config |= {"template": origin.measure["template"]}
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
    config |= {"threads": origin.measure["threads"]}
    where = {"device": settings.device}
    inputs["calibration"] = _calibration(origin, settings)
    return Step("export-gptq", 1, f"{_STEPS}:gptq", config, inputs, where=where, label=label,
                estimate=Estimate(seconds=30))  # fmt: skip


def _calibration(origin: _Origin, settings: ExportSettings) -> Step:
    config: dict[str, Any] = {"samples": settings.samples, "seed": settings.seed}
    call, label = f"{_STEPS}:calibration", f"{settings.samples} samples"
    if settings.calibration:
        files, where = _files(settings.calibration, "--calibration")
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
    label = f"{origin.place.label} {kind or 'before export'}"
    inputs = {"export": step, "evaluation": origin.evaluation}
    config = {name: origin.measure[name] for name in _MEASURE}
    where = {"device": settings.device}
    answers = Step("export-measure", 1, f"{_STEPS}:measure", config, inputs, where=where, label=label)
    if not origin.measure["answers"] or origin.judge is None:
        return answers, None
    both = {"evaluation": origin.evaluation, "answers": answers}
    if "method" in origin.judge:
        method = judging.method_settings(origin.judge["method"])
        return answers, Step("judge", 1, "assay.study.steps:judge_answers", method, both, label=label)
    if settings.study is None:
        raise AssayError(
            "a chat model judged this study", place="--study", expected="the study's file",
            hint="the model's address and budget are in it; replies that are known cost nothing",
        )  # fmt: skip
    config_of_study = read_config(settings.study)
    items = 250 if origin.result is None else origin.result.evaluation.samples
    tokens = 200 + origin.measure["max_new_tokens"]
    return answers, judge_step(config_of_study, both, label, items=items, tokens=tokens)


class _Measured:
    """What was measured of one format, read from its steps' objects."""

    def __init__(self, store: Store, answers: Step, judged: Step | None) -> None:
        import polars

        folder = store.path(answers.key)
        self.table = polars.read_parquet(folder / "items.parquet").to_dict(as_series=False)
        self.speed: dict[str, Any] = json.loads((folder / "speed.json").read_text(encoding="utf-8"))
        self.judgements: list[judging.Judgement] = []
        if judged is not None:
            rows = polars.read_parquet(store.path(judged.key) / "judgements.parquet")
            self.judgements = [judging.Judgement(**row) for row in rows.iter_rows(named=True)]


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
        threads=int(origin.measure["threads"]),
        bytes=_weights(store.path(steps[""].key) / MODEL),
        tokens_per_second=None if before is None else before.speed["tokens_per_second"],
        files=files,
    )


def _calibrated(store: Store, steps: Mapping[str, Step]) -> int:
    """Return how many samples GPTQ was calibrated on; 0 where nothing was."""
    made = [
        store.path(step.key) / "quantized.json" for kind, step in steps.items() if kind.startswith("gptq")
    ]
    return max((int(json.loads(path.read_text("utf-8"))["samples"]) for path in made), default=0)


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
    notes = json.loads((folder / "gguf.json").read_text("utf-8"))["notes"] if gguf else ()
    backend = "llama.cpp" if gguf else "transformers"
    weights = _weights(folder / MODEL)
    return ExportedFile(kind, path, weights, backend, speed, same, tuple(drops), tuple(notes))


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
        _copy_folder(origin.store.path(steps[file_.format].key) / MODEL, folder / file_.format)
        with data.replacing_text(folder / file_.format / "README.md") as text:
            text.write(view.model_card(card, file_))
    if card.study is not None:
        with data.replacing_text(folder / "data_card.md") as text:
            text.write(view.data_card(replace(card.study, language=page.language)))
    view.write_export_page(page, folder / PAGE)


def _copy_folder(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


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
