"""The processes of a training placed on a Ray cluster, one per GPU; they share the job's folder."""

from __future__ import annotations

import os
import socket
from collections import Counter
from pathlib import Path
from typing import Any, Self

from assay.core import AssayError
from assay.model.launch._job import JOB
from assay.model.launch._settings import Launch
from assay.model.launch._worker import work

_PLACE_SECONDS = 600
_NOTICE_SECONDS = 3


class RayGroup:
    """One Ray actor a process; all are killed where one fails and when the block ends."""

    def __init__(self, folder: Path, launch: Launch) -> None:
        """Prepare the processes of the job in ``folder``."""
        self.folder, self.launch = folder, launch
        self.killed: int | None = None

    def __enter__(self) -> Self:
        """Place the processes and start them."""
        ray = _ray(self.launch)
        needs = {"CPU": 1.0}
        if ray.cluster_resources().get("GPU", 0) >= self.launch.processes:
            needs["GPU"] = 1.0
        self.group = ray.util.placement_group([needs] * self.launch.processes)
        try:
            ray.get(self.group.ready(), timeout=_PLACE_SECONDS)
        except ray.exceptions.GetTimeoutError:
            ray.util.remove_placement_group(self.group)
            raise AssayError(
                "the cluster cannot place the processes",
                place="where.launch.processes",
                value=self.launch.processes,
                expected=f"that many times {needs} free at once",
            ) from None
        place = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(self.group)
        kind = ray.remote(num_cpus=needs["CPU"], num_gpus=needs.get("GPU", 0), scheduling_strategy=place)
        self.actors = [kind(_Process).remote() for _ in range(self.launch.processes)]
        nodes = ray.get([actor.node.remote() for actor in self.actors])
        address, port = ray.get(self.actors[0].address.remote())
        most, seen = max(Counter(nodes).values()), Counter[str]()
        self.tasks = []
        for rank, (actor, node) in enumerate(zip(self.actors, nodes, strict=True)):
            places = {
                "RANK": rank,
                "WORLD_SIZE": len(nodes),
                "LOCAL_RANK": seen[node],
                "LOCAL_WORLD_SIZE": most,
                "MASTER_ADDR": address,
                "MASTER_PORT": port,
            }
            seen[node] += 1
            self.tasks.append(actor.work.remote(str(self.folder / JOB), places))
        return self

    def running(self) -> bool:
        """Say whether all go on; the output of those that failed is in ``log.txt``."""
        import ray

        done, left = ray.wait(self.tasks, num_returns=len(self.tasks), timeout=0)
        if not any(_error(task) for task in done):
            return bool(left)
        # One that was killed is noticed a little later than the peers that miss it.
        done, _ = ray.wait(self.tasks, num_returns=len(self.tasks), timeout=_NOTICE_SECONDS)
        errors = {self.tasks.index(task): _error(task) for task in done}
        dead = [rank for rank, e in errors.items() if isinstance(e, ray.exceptions.RayActorError)]
        self.killed = min(dead, default=None)
        text = "\n".join(f"process {rank}: {error}" for rank, error in errors.items() if error)
        (self.folder / "log.txt").write_text(text, encoding="utf-8")
        return False

    def __exit__(self, *error: object) -> None:
        """Kill the processes and give their places back."""
        import ray

        for actor in self.actors:
            ray.kill(actor)
        ray.util.remove_placement_group(self.group)


def _error(task: Any) -> Exception | None:
    import ray

    try:
        ray.get(task)
    except ray.exceptions.RayError as error:
        return error
    return None


def _ray(launch: Launch) -> Any:
    """Return Ray, connected to the cluster, or to one that is started on this machine alone."""
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise AssayError(
            "Ray is not installed",
            place="where.launch.through",
            value="ray",
            expected="the package ray, or through: accelerate",
            hint='pip install "instruct-assay[ray]"',
        ) from None
    if not ray.is_initialized():
        # Without an address Ray joins any cluster that it finds on the machine, and refuses our settings.
        address = launch.cluster or os.environ.get("RAY_ADDRESS") or "local"
        settings: dict[str, Any] = {"address": address}
        if address == "local":
            settings |= {"_node_ip_address": "127.0.0.1", "num_cpus": launch.processes}
            settings |= {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
        ray.init(**settings)
    return ray


class _Process:
    """What runs in an actor."""

    def node(self) -> str:
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def address(self) -> tuple[str, int]:
        import ray

        with socket.socket() as free:
            free.bind(("", 0))
            address: Any = ray.util.get_node_ip_address  # untyped
            return str(address()), int(free.getsockname()[1])

    def work(self, job: str, places: dict[str, object]) -> None:
        os.environ.update({name: str(value) for name, value in places.items()})
        work(Path(job))
