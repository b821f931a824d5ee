"""Keys, store, steps, runner, pools.  Knows nothing of data or models."""

from assay.plan._execute import execute
from assay.plan._pools import Inline, Pool, Processes, parse_pool
from assay.plan._progress import is_quiet, progress_bar, quiet
from assay.plan._run import Plan, PlanRow, RunReport, plan, run
from assay.plan._step import Advance, Estimate, Step, StepContext, in_order
from assay.plan._store import (
    GarbageReport,
    Store,
    StoreStatus,
    StudyStatus,
    collect_garbage,
    status,
)

__all__ = [
    "Advance",
    "Estimate",
    "GarbageReport",
    "Inline",
    "Plan",
    "PlanRow",
    "Pool",
    "Processes",
    "RunReport",
    "Step",
    "StepContext",
    "Store",
    "StoreStatus",
    "StudyStatus",
    "collect_garbage",
    "execute",
    "in_order",
    "is_quiet",
    "parse_pool",
    "plan",
    "progress_bar",
    "quiet",
    "run",
    "status",
]
