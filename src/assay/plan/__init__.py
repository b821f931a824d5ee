"""Keys, store, steps, runner, pools.  Knows nothing of data or models."""

from assay.plan._execute import execute
from assay.plan._pools import POOLS, Inline, Pool, PoolMaker, Processes, parse_pool
from assay.plan._progress import progress_bar
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
    "POOLS",
    "Advance",
    "Estimate",
    "GarbageReport",
    "Inline",
    "Plan",
    "PlanRow",
    "Pool",
    "PoolMaker",
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
    "parse_pool",
    "plan",
    "progress_bar",
    "run",
    "status",
]
