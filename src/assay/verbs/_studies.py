"""Verbs of studies and their store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.verbs import _progress as progress

if TYPE_CHECKING:
    from assay.core import BasesResult, StudyResult
    from assay.plan import GarbageReport, StoreStatus
    from assay.study import StudyPlan


def demo(out: Path = Path("runs/demo"), *, pool: str = "processes:2") -> StudyResult | BasesResult:
    """Run a real study on the embedded testbed and pocket model, in minutes, without network or keys.

    Example: `assay demo`, then open runs/demo/report.html.
    """
    from importlib.resources import files

    from assay import study

    config = Path(str(files("assay.study") / "demo.yaml"))
    return study.run(config, pool=pool, out=out, quiet=progress.quiet)


def study_run(
    config: Path,
    *,
    set: list[str] | None = None,
    pool: str | None = None,
    out: Path | None = None,
) -> StudyResult | BasesResult:
    """Run a study: data, ladder, fine-tuning, answers, scores, curves, report. Resumes by itself.

    Example: `assay study run study.yaml --set ladder.seeds=5 --pool processes:4`

    A study file:

        name: alpaca-pocket
        base: pocket                      # or a Hugging Face id, a folder, or {small: ..., large: ...}
        pool: [data/alpaca.jsonl.gz]
        evaluation: eval.jsonl
        ladder: {rungs: [500, 1000, 2000, 4000], seeds: 3}
        recipe: pocket                    # or belle; any field can be changed

    Parameters
    ----------
    config
        The study file (YAML).
    set
        A setting laid over the file, `key.path=value`; may be repeated.
    pool
        Where steps run: `inline` or `processes:N`.
    out
        Folder of the report; `runs/NAME` by default.
    """
    from assay import study

    return study.run(config, changes=set or (), pool=pool, out=out, quiet=progress.quiet)


def study_plan(config: Path, *, set: list[str] | None = None) -> StudyPlan:
    """Show what a study would do: steps cached and to do, tokens, minutes, bytes. Nothing is run.

    Example: `assay study plan study.yaml`

    Parameters
    ----------
    config
        The study file (YAML).
    set
        A setting laid over the file, `key.path=value`; may be repeated.
    """
    from assay import study

    return study.plan(config, changes=set or ())


def study_report(result: Path, *, out: Path | None = None) -> list[Path]:
    """Write the report again from a study's result.json.

    Example: `assay study report runs/demo/result.json --out elsewhere`
    """
    from assay import view

    return view.write_report(view.load_study(result), out or result.parent)


def status(*, store: Path = Path(".assay")) -> StoreStatus:
    """Show the studies of a store, how far each has come, and what they take on disk.

    Example: `assay status`
    """
    from assay import plan

    return plan.status(plan.Store(store, create=False))


def gc(
    *, store: Path = Path(".assay"), delete: bool = False, forget: list[str] | None = None
) -> GarbageReport:
    """Show (or delete) stored objects that no registered study needs.

    Example: `assay gc --forget old-study --delete`

    Parameters
    ----------
    store
        The store's folder.
    delete
        Delete instead of showing.
    forget
        Studies whose objects are no longer wanted.
    """
    from assay import plan

    return plan.collect_garbage(plan.Store(store, create=False), forget=forget or (), dry_run=not delete)
