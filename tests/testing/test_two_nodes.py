"""Ray on two nodes, one of which is lost: the objects that one process makes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from assay.plan import Inline, Store, parse_pool, quiet, run
from assay.testing import _steps

pytestmark = pytest.mark.long


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one CPU each, and a head without one."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    # A machine that has a token would ask for it; nothing but loopback reaches these nodes.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100_000_000}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield made
    finally:
        made.shutdown()


def contents(store: Store) -> dict[str, Any]:
    return {key: store.manifest(key)["files"] for key in store.completed()}


def test_a_lost_node_costs_its_steps_another_attempt(cluster: Any, tmp_path: Path) -> None:
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=100_000_000) for _ in range(2)]
    stores = [Store(tmp_path / name) for name in ("inline", "ray")]
    with quiet(), Inline() as inline:
        run([_steps.diamond(0.4)], stores[0], inline)

    def lose() -> None:
        while not any((tmp_path / "ray" / "work").glob("*/part-0")) or len(stores[1].completed()) < 1:
            time.sleep(0.05)
        cluster.remove_node(nodes[1], allow_graceful=False)
        left.append(6 - len(stores[1].completed()))

    left = list[int]()
    loser = Thread(target=lose)
    loser.start()
    with quiet(), parse_pool(f"ray:{cluster.address}") as pool:
        assert pool.size == 2
        done = run([_steps.diamond(0.4)], stores[1], pool).done
    loser.join()
    assert done == 6 and left[0] > 0
    assert contents(stores[1]) == contents(stores[0]) and stores[1].verify() == []
