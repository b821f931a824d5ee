from __future__ import annotations

from pathlib import Path

import pytest

from assay import study
from assay.core import AssayError, StudyResult


def test_how_many_processes_train_is_no_part_of_identity(small_study: tuple[Path, StudyResult]) -> None:
    path, _ = small_study
    planned = study.plan(path, set=["where.launch={processes: 2, strategy: zero3}"])
    assert planned.plan.total.to_do == 0


def test_trainings_on_all_devices_do_not_run_beside_each_other(small_study: tuple[Path, StudyResult]) -> None:
    path, _ = small_study
    with pytest.raises(AssayError, match="compete for the same devices"):
        study.plan(path, set=["where.launch={processes: 2}", "where.pool=processes:2"])
