"""Training on several processes: what their launchers need, written from the recipe, and the run itself.

A job is a folder: ``job.json`` (what to train), ``order.npy``, ``accelerate.yaml`` and for ZeRO
``deepspeed.json``.  The launcher reads the same files as the processes it starts, so that what a file says
is what is done.  Which processes trained a model is no part of its identity: they change its weights by
rounding alone.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
import yaml

from assay.core import AssayError
from assay.data import replacing_text
from assay.model._recipe import Indices, Recipe
from assay.model._tokens import TokenTable

if TYPE_CHECKING:
    from assay.model._train import Advance, Segment, TrainReport

JOB = "job.json"
ACCELERATE = "accelerate.yaml"
DEEPSPEED = "deepspeed.json"
LAUNCHER = "ASSAY_LAUNCHER"
_POLL_SECONDS = 0.2
_WORKER = "assay.model._worker"


@dataclass(frozen=True, slots=True)
class Launch:
    """How many processes share a training, and how; never part of a training's identity.

    Parameters
    ----------
    processes
        How many share the training on all machines together, one a GPU; the model is the same up to rounding.
    strategy
        How they share it: fsdp (torch's FSDP2), or DeepSpeed's zero2 (optimizer and gradients shared out) or
        zero3 (weights too).
    offload
        Keep what is shared out in the machines' memory.
    machines
        Over how many machines; what to run on the others is printed.
    address
        Of the first machine, as the others reach it.
    port
        Its port.
    through
        Who starts the processes: the launcher of accelerate, or ray.
    cluster
        Address of the ray cluster; a local one is started by default.
    """

    processes: int = 1
    strategy: Literal["fsdp", "zero2", "zero3"] = "fsdp"
    offload: bool = False
    machines: int = 1
    address: str | None = None
    port: int = 29500
    through: Literal["accelerate", "ray"] = "accelerate"
    cluster: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be started."""
        if self.processes < 1 or self.machines < 1 or self.processes % self.machines:
            raise AssayError(
                "the processes do not spread over the machines",
                place="where.launch",
                value=f"{self.processes} processes on {self.machines} machines",
                expected="as many processes on each machine, at least one",
            )
        if self.machines > 1 and self.through == "accelerate" and self.address is None:
            raise AssayError(
                "the other machines cannot find the first",
                place="where.launch.address",
                expected="its name or address in their network",
            )


def accelerate_config(recipe: Recipe, launch: Launch, layers: list[str], folder: Path) -> dict[str, Any]:
    """Return accelerate's settings; ``layers``: classes of the model's layers, the units of sharding."""
    alone = launch.machines == 1
    config: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "FSDP" if launch.strategy == "fsdp" else "DEEPSPEED",
        "mixed_precision": "bf16" if recipe.dtype == "bf16" else "no",
        "num_processes": launch.processes,
        "num_machines": launch.machines,
        "machine_rank": 0,
        "main_process_ip": launch.address,
        "main_process_port": 0 if alone else launch.port,  # 0: one that is free
        "same_network": True,
        "rdzv_backend": "static",
        "main_training_function": "main",
        "use_cpu": False,
    }
    if launch.strategy == "fsdp":
        config["fsdp_config"] = {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_transformer_layer_cls_to_wrap": ",".join(layers),
            "fsdp_reshard_after_forward": True,
            "fsdp_offload_params": launch.offload,
            "fsdp_activation_checkpointing": False,  # the recipe's gradient_checkpointing is the model's own
            "fsdp_cpu_ram_efficient_loading": False,  # processes load one after the other instead
            "fsdp_state_dict_type": "SHARDED_STATE_DICT",
        }
    else:
        del config["mixed_precision"]  # it is in DeepSpeed's own file
        config["deepspeed_config"] = {
            "deepspeed_config_file": str(folder / DEEPSPEED),
            "deepspeed_multinode_launcher": "standard",
            "zero3_init_flag": False,
        }
    return config


def deepspeed_config(recipe: Recipe, launch: Launch) -> dict[str, Any]:
    """Return DeepSpeed's settings: bf16 with fp32 weights in the optimizer, or fp32 throughout.

    Micro-batches hold tokens, not samples, so the trainer marks the end of each optimizer batch itself;
    the samples below are what a process sees of a batch.
    """
    stage = 2 if launch.strategy == "zero2" else 3
    zero: dict[str, Any] = {"stage": stage, "contiguous_gradients": True, "overlap_comm": True}
    if launch.offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        if stage == 3:
            zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    return {
        "train_micro_batch_size_per_gpu": math.ceil(recipe.batch_size / launch.processes),
        "gradient_accumulation_steps": 1,
        "gradient_clipping": recipe.clip_norm,
        "bf16": {"enabled": recipe.dtype == "bf16"},
        "zero_optimization": zero,
        # torch's AdamW, as in every other run; DeepSpeed's own would be compiled at run time.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**31,
        "wall_clock_breakdown": False,
    }


def layer_classes(base: Path) -> list[str]:
    """Return the classes of a base's layers, which no device border may cut, as transformers names them."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    config = AutoConfig.from_pretrained(base)
    known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    names = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]._no_split_modules if known else None
    if not names:
        raise AssayError(
            "transformers does not say what the layers of this model are",
            place=str(base),
            value=config.model_type,
            expected="a causal model with _no_split_modules",
            hint="where.launch.processes: 1 trains it on one device",
        )
    return sorted(names)


def write_job(folder: Path, launch: Launch, segment: Segment, order: Indices, **paths: str | None) -> None:
    """Write all files of a job; a job that was there before leaves no trace."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("progress.json", "report.json", "log.txt", *(p.name for p in folder.glob("error-*.json"))):
        (folder / stale).unlink(missing_ok=True)
    np.save(folder / "order.npy", order)
    recipe = segment.recipe
    layers = layer_classes(Path(str(paths["base"])))
    _write(folder / JOB, {"segment": asdict(segment), "strategy": launch.strategy, **paths})
    config = accelerate_config(recipe, launch, layers, folder)
    with replacing_text(folder / ACCELERATE) as file:
        yaml.safe_dump(config, file, sort_keys=False)
    if launch.strategy != "fsdp":
        _write(folder / DEEPSPEED, deepspeed_config(recipe, launch))


def _write(path: Path, data: Mapping[str, Any]) -> None:
    with replacing_text(path) as file:
        json.dump(data, file, indent=1)


def command(folder: Path, machine: int = 0) -> list[str]:
    """Return the command that starts a machine's processes of a job."""
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(folder / ACCELERATE)]
    return [
        *(sys.executable, *launcher, "--machine_rank", str(machine)),
        *("-m", _WORKER, str(folder / JOB)),
    ]


def train_launched(
    launch: Launch,
    segment: Segment,
    *,
    base: Path,
    state: Path | None,
    table: TokenTable,
    order: Indices,
    out: Path,
    device: str = "auto",
    advance: Advance = lambda done, total, unit: None,
) -> TrainReport:
    """Fine-tune on several processes; leaves what a run on one leaves; see :class:`Trainer`.

    Raises the :class:`AssayError` of the process that failed first.
    """
    from assay.model._train import TrainReport

    _need_accelerate()
    folder = (out / "scratch" / "launch").resolve()
    notes: list[str] = []
    while True:
        write_job(
            folder,
            launch,
            segment,
            order,
            base=str(base.resolve()),
            state=None if state is None else str(state.resolve()),
            tokens=str(table.folder.resolve()),
            out=str(out.resolve()),
            device=device,
        )
        found = _attempt(folder, launch, advance)
        if isinstance(found, TrainReport):
            return replace(found, notes=(*found.notes, *notes))
        segment, note = smaller(segment, int(table.lengths.max()), found)
        notes.append(note)


def _attempt(folder: Path, launch: Launch, advance: Advance) -> TrainReport | int:
    """Run a job; return its report, or the rank of the process that ran out of memory."""
    from assay.model._train import TrainReport

    with _started(folder, launch) as group:
        while group.running():
            _show(folder, advance)
            time.sleep(_POLL_SECONDS)
    _show(folder, advance)
    if (folder / "report.json").exists():
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        trace = tuple((int(s), float(v)) for s, v in report["trace"])
        return TrainReport(**{**report, "trace": trace, "notes": tuple(report["notes"])})
    error = first_error(folder) if group.killed is None else None
    if error is None or not error["memory"]:
        raise failure(folder, launch, error, group.killed)
    return int(error["rank"])


def _need_accelerate() -> None:
    if find_spec("accelerate") is None:
        raise AssayError(
            "training on several processes needs the package accelerate",
            place="where.launch.processes",
            expected="accelerate installed, or 1",
            hint='pip install "instruct-assay[scale]"',
        )


def smaller(segment: Segment, longest: int, rank: int) -> tuple[Segment, str]:
    """Halve the micro-batches after one did not fit; raise where each is a single sample already."""
    before = segment.recipe.micro_tokens
    if before <= longest:
        raise AssayError(
            "a single sample does not fit into memory",
            place=f"process {rank}",
            value=f"{longest} tokens",
            expected="more memory, or less to hold",
            hint="more processes, where.launch.offload, recipe.gradient_checkpointing, or a smaller "
            "recipe.max_tokens",
        )
    smaller = replace(segment, recipe=replace(segment.recipe, micro_tokens=max(before // 2, longest)))
    return smaller, (
        f"out of memory: started anew with micro-batches of {smaller.recipe.micro_tokens} tokens instead of "
        f"{before}; the batch of a step stays the same, its sums are taken in another order"
    )


class _Group(Protocol):
    """The processes of a job; all end with the block.  ``killed``: rank of one that fell without a word."""

    @property
    def killed(self) -> int | None: ...

    def running(self) -> bool: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def _started(folder: Path, launch: Launch) -> AbstractContextManager[_Group]:
    if launch.through == "ray":
        from assay.model._ray import RayGroup

        return RayGroup(folder, launch)
    for machine in range(1, launch.machines):
        line = shlex.join(command(folder, machine))
        print(f"on machine {machine}, with the same folders and packages, run:\n{line}", file=sys.stderr)
    return _Accelerate(folder)


class _Accelerate:
    """The processes of one machine, started by ``accelerate launch``; their output goes to ``log.txt``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def killed(self) -> int | None:
        """The first to fall in torchrun's summary, where a signal felled it; its peers then fail of that."""
        cause = re.search(r"Root Cause.*?rank\s*: (\d+).*?exitcode\s*: (-?\d+)", _log(self.folder), re.DOTALL)
        return int(cause[1]) if cause and int(cause[2]) < 0 else None

    def __enter__(self) -> Self:
        with (self.folder / "log.txt").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                command(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_tie,
            )
        return self

    def __exit__(self, *error: object) -> None:
        """Kill the launcher; its processes end with it, and the saved state makes that safe."""
        if self.running():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _tie() -> None:
    """Tie the launcher to this process, and tell those it starts who it is."""
    end_with_parent(None)
    os.environ[LAUNCHER] = str(os.getpid())


def end_with_parent(parent: int | None) -> None:
    """Have the kernel kill this process when the one that started it is gone (Linux only).

    ``parent`` is who that was, if known: it may have gone before this was called.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def _show(folder: Path, advance: Callable[[float, float, str], None]) -> None:
    try:
        done, total, unit = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    advance(done, total, unit)


def first_error(folder: Path) -> dict[str, Any] | None:
    """Return what the process that failed first said; the others then fail of its absence."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("error-*.json")]
    return min(found, key=lambda error: error["time"], default=None)


def failure(
    folder: Path, launch: Launch, error: Mapping[str, Any] | None, killed: int | None = None
) -> AssayError:
    """Return a process's own error, or say that one was killed, or what the launcher said last."""
    if error is not None:
        place = f"process {error['rank']} of {launch.processes}"
        return AssayError(
            error["problem"],
            place=place if error["place"] is None else f"{error['place']}, {place}",
            **{key: error[key] for key in ("value", "expected", "hint")},
        )
    if killed is None:
        last = _log(folder).split("\n")[-1] or "no output"
        problem = f"the processes ended without a result: {last}"
    else:
        problem = f"process {killed} of {launch.processes} was killed"
    return AssayError(
        problem,
        place=str(folder / "log.txt"),
        hint="where the machine's memory ran out, fewer processes or where.launch.offload: false; run again: "
        "it goes on from the last state that was saved",
    )


def _log(folder: Path) -> str:
    path = folder / "log.txt"
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
