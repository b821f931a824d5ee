"""Keys, store, steps, runner, pools.  Knows nothing of data or models."""

from assay.core import POOLS, Inline, Pool, PoolMaker, Processes, parse_pool
from assay.plan._cost import Cap, Forecast, Spent, money_said, parse_cap
from assay.plan._execute import execute
from assay.plan._garbage import (
    CorruptObject,
    GarbageReport,
    StoreCheck,
    StoreStatus,
    StudyStatus,
    check_store,
    collect_garbage,
    status,
)
from assay.plan._meter import Meter, metered, tell, timed
from assay.plan._progress import is_quiet, progress_bar, quiet
from assay.plan._run import Plan, PlanRow, RunReport, announce, plan, run
from assay.plan._shared import local_folder, open_store
from assay.plan._step import Advance, Estimate, Step, StepContext, in_order
from assay.plan._store import Store
from assay.plan._watch import STEPS, Listed, Listing, Running, StepList, Watched, Watcher, listing, read_steps

__all__ = [
    "POOLS",
    "STEPS",
    "Advance",
    "Cap",
    "CorruptObject",
    "Estimate",
    "Forecast",
    "GarbageReport",
    "Inline",
    "Listed",
    "Listing",
    "Meter",
    "Plan",
    "PlanRow",
    "Pool",
    "PoolMaker",
    "Processes",
    "RunReport",
    "Running",
    "Spent",
    "Step",
    "StepContext",
    "StepList",
    "Store",
    "StoreCheck",
    "StoreStatus",
    "StudyStatus",
    "Watched",
    "Watcher",
    "announce",
    "check_store",
    "collect_garbage",
    "execute",
    "in_order",
    "is_quiet",
    "listing",
    "local_folder",
    "metered",
    "money_said",
    "open_store",
    "parse_cap",
    "parse_pool",
    "plan",
    "progress_bar",
    "quiet",
    "read_steps",
    "run",
    "status",
    "tell",
    "timed",
]
