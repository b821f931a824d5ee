"""Engines over several processes: FSDP2 by torch, ZeRO-2 and ZeRO-3 by DeepSpeed.

Both are the same to the trainer as the engine of one process: gradients are sums over all processes, the
optimizer is torch's AdamW on fp32 weights, and a state holds full tensors by name, so that one engine goes on
from what another has saved.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import torch
import torch.distributed as dist
import yaml
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor

from assay.core import AssayError
from assay.model.base import pick_device
from assay.model.launch._job import ACCELERATE, DEEPSPEED
from assay.model.tokens import MicroBatch
from assay.model.train import (
    WEIGHT,
    Engine,
    Loss,
    Recipe,
    Segment,
    State,
    build_model,
    build_optimizer,
    causal,
    finish_state,
    set_threads,
    trained,
    use_kernels,
    use_packing,
    write_shards,
    write_trained,
)

_STEP = "step"


@contextmanager
def open_engine(folder: Path, job: Mapping[str, Any], segment: Segment) -> Iterator[Engine]:
    """Join the other processes of a job and give its engine."""
    from accelerate import PartialState  # type: ignore[import-untyped]

    config = yaml.safe_load((folder / ACCELERATE).read_text(encoding="utf-8"))
    recipe, device = segment.recipe, pick_device(job["device"])
    if recipe.adapter == "qlora":
        raise AssayError(
            "a base in 4 bits is trained on one process",
            place="recipe.adapter",
            value="qlora",
            expected="where.launch.processes: 1, or adapter: lora, whose base is shared out instead",
        )
    set_threads(recipe.threads)
    torch.use_deterministic_algorithms(device == "cpu")
    fsdp = job["strategy"] == "fsdp"
    if not fsdp:
        _prepare_deepspeed(device)
    # Weights kept on the CPU are gathered there as well.
    both = fsdp and device != "cpu" and config["fsdp_config"]["fsdp_offload_params"]
    processes = PartialState(cpu=device == "cpu", **({"backend": "cuda:nccl,cpu:gloo"} if both else {}))
    base = Path(job["base"])
    if fsdp:
        yield ShardedEngine(base, segment, processes.device, config)
    else:
        yield ZeroEngine(base, segment, processes.device, folder / DEEPSPEED)
    dist.destroy_process_group()


def _in_turn() -> Iterator[None]:
    """Yield once, in this machine's processes one after the other."""
    own = int(os.environ["LOCAL_RANK"])
    for turn in range(int(os.environ["LOCAL_WORLD_SIZE"])):
        if turn == own:
            yield
        dist.barrier()


class _Placement(Protocol):
    """Where the weights and moments of a parameter are: each as a full tensor, and back."""

    def weight(self, parameter: nn.Parameter) -> Tensor: ...

    def moments(self, parameter: nn.Parameter) -> dict[str, Tensor]: ...

    def put(self, parameter: nn.Parameter, weight: Tensor, moments: Mapping[str, Tensor]) -> None: ...


class _Shared:
    """What both engines have in common, given a model and the placement of its parameters."""

    placement: _Placement

    def __init__(self, base: Path, recipe: Recipe, device: torch.device) -> None:
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.base, self.recipe, self.place, self.device = base, recipe, device, device.type

    def hold(self, model: Any) -> None:
        """Take a loaded model for training on this process's device, wherever it is now."""
        self.model = model
        self.loss = Loss(causal(model), self.recipe.dtype, offload=self.recipe.offload_activations)
        use_kernels(self.loss.model, self.recipe, self.device)
        self.packing = use_packing(self.recipe, self.device, self.loss.model)
        self.pad = self.loss.model.config.pad_token_id or 0

    def drop(self) -> None:
        """Do not: out of memory inside a pass, one process cannot turn back alone; the launch starts anew."""
        raise NotImplementedError

    def sum(self, values: Sequence[float]) -> list[float]:
        """See :class:`Engine`."""
        total = torch.tensor(list(values), dtype=torch.float64, device=self.place)
        dist.all_reduce(total)
        return cast(list[float], total.tolist())

    def save(self, folder: Path, step: int, notes: Mapping[str, Any]) -> None:
        """See :class:`Engine`; each process writes its share of the tensors."""

        def tensors() -> Iterator[tuple[str, Tensor]]:
            for name, parameter in trained(self.loss.model):
                yield f"{WEIGHT}/{name}", self.placement.weight(parameter)
                for kind, moment in self.placement.moments(parameter).items():
                    yield f"{kind}/{name}", moment

        write_shards(folder, step, tensors(), rank=self.rank, world=self.world)
        dist.barrier()
        if self.rank == 0:
            finish_state(folder, step, notes, world=self.world)
        dist.barrier()

    def load(self, folder: Path) -> tuple[int, dict[str, Any]]:
        """See :class:`Engine`; each process reads all, and keeps its part of each tensor."""
        state = State(folder)
        with torch.no_grad():
            for name, parameter in trained(self.loss.model):
                self.placement.put(parameter, state[f"{WEIGHT}/{name}"], state.moments(name))
        return state.step, state.notes

    def write_model(self, folder: Path) -> None:
        """See :class:`Engine`; the first process gathers and writes."""
        weights = {}
        for name, parameter in trained(self.model):
            weight = self.placement.weight(parameter)
            if self.rank == 0:
                weights[name] = weight
        if self.rank == 0:
            kept = self.model.state_dict().keys()
            weights |= {name: b.cpu() for name, b in self.model.named_buffers() if name in kept}
            write_trained(self.model, self.base, self.recipe, folder, weights)
        dist.barrier()


class ShardedEngine(_Shared):
    """FSDP2: every parameter, gradient and moment cut along its first dimension, layers gathered in turn.

    Torch's ``fully_shard`` rather than accelerate's ``prepare``: the latter takes the model alone and no
    CPU, while here the loss belongs to the unit that holds the head, which it applies by itself.
    """

    def __init__(self, base: Path, segment: Segment, device: torch.device, config: Mapping[str, Any]) -> None:
        """Load the base and keep this process's part; no more than one whole copy is in a machine at once."""
        super().__init__(base, segment.recipe, device)
        mesh = init_device_mesh(device.type, (self.world,))
        for _ in _in_turn():
            self.hold(build_model(base, self.recipe, segment.seed, "cpu"))
            _shard(self.loss, mesh, config)
        self.optimizer = build_optimizer(self.loss, self.recipe)
        self.placement = _Shards(self.optimizer)

    def backward(self, batch: MicroBatch, learned: int, *, last: bool) -> float:
        """See :class:`Engine`; gradients are averaged on the way, hence the factor."""
        loss: Tensor = self.loss(batch) / learned
        (loss * self.world).backward()
        return loss.item()

    def step(self, learning_rate: float) -> None:
        """See :class:`Engine`."""
        parameters = [p for p in self.loss.parameters() if p.requires_grad]
        nn.utils.clip_grad_norm_(parameters, self.recipe.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()


def _shard(loss: Loss, mesh: Any, config: Mapping[str, Any]) -> None:
    """Cut each layer, then the rest (embedding, last norm, head) with the loss as one unit."""
    from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard

    settings = config["fsdp_config"]
    bf16 = config["mixed_precision"] == "bf16"
    on_cpu = CPUOffloadPolicy(pin_memory=mesh.device_type != "cpu")
    policies = {
        "mesh": mesh,
        # Sums of gradients stay in fp32.
        "mp_policy": MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy(),
        "offload_policy": on_cpu if settings["fsdp_offload_params"] else OffloadPolicy(),
    }
    layers = settings["fsdp_transformer_layer_cls_to_wrap"].split(",")
    for module in [m for m in loss.modules() if type(m).__name__ in layers]:
        fully_shard(module, reshard_after_forward=settings["fsdp_reshard_after_forward"], **policies)
    fully_shard(loss, **policies)


class _Shards:
    """Parameters and moments that are DTensors, cut the same way."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def weight(self, parameter: nn.Parameter) -> Tensor:
        return _whole(parameter)

    def moments(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        return {kind: _whole(moment) for kind, moment in self.optimizer.state[parameter].items()}

    def put(self, parameter: nn.Parameter, weight: Tensor, moments: Mapping[str, Tensor]) -> None:
        shards = cast(DTensor, parameter.detach())
        _fill(shards, weight)
        state = self.optimizer.state[parameter]
        for kind, moment in moments.items():
            if kind == _STEP:
                state[kind] = moment.to(shards.device)
            else:
                state[kind] = torch.zeros_like(shards)
                _fill(state[kind], moment)


def _whole(tensor: Tensor) -> Tensor:
    whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return whole.detach().cpu()


def _fill(shards: DTensor, whole: Tensor) -> None:
    """Copy this process's part of a tensor; all processes hold the whole, so none has to send."""
    mesh = shards.device_mesh
    own = distribute_tensor(whole.to(mesh.device_type), mesh, shards.placements, src_data_rank=None)
    shards.to_local().copy_(own.to_local())


def _prepare_deepspeed(device: str) -> None:
    """Choose DeepSpeed's kind of device before it is first imported."""
    if device == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    try:
        import deepspeed  # type: ignore[import-untyped]
    except ImportError:
        raise AssayError(
            "ZeRO needs the package deepspeed",
            place="where.launch.strategy",
            expected="deepspeed installed, or strategy: fsdp",
            hint='pip install "instruct-assay[scale]"',
        ) from None
    if device == "cpu":
        # Its own collectives for CPUs would be compiled at first use; gloo is there.
        deepspeed.ops.__compatible_ops__ = {}


class ZeroEngine(_Shared):
    """DeepSpeed's ZeRO: optimizer and gradients shared out (stage 2), and weights too (stage 3)."""

    def __init__(self, base: Path, segment: Segment, device: torch.device, config: Path) -> None:
        """Load the base whole in each process, then hand it to DeepSpeed."""
        import deepspeed

        super().__init__(base, segment.recipe, device)
        deepspeed.init_distributed(dist_backend=dist.get_backend(), auto_mpi_discovery=False, verbose=False)
        self.hold(build_model(base, self.recipe, segment.seed, "cpu"))
        if self.loss.split:
            # The loss applies the head's weight itself, outside of the head.
            deepspeed.zero.register_external_parameter(self.loss, self.loss.head.weight)
        self.engine, *_ = deepspeed.initialize(
            model=self.loss,
            optimizer=build_optimizer(self.loss, self.recipe),
            config=str(config),
            dist_init_required=False,
        )
        stage = self.engine.zero_optimization_stage()
        self.placement = _Stage3(self.engine.optimizer) if stage == 3 else _Stage2(self.engine.optimizer)

    def backward(self, batch: MicroBatch, learned: int, *, last: bool) -> float:
        """See :class:`Engine`; gradients are averaged on the way, hence the factor."""
        self.engine.set_gradient_accumulation_boundary(last)
        loss: Tensor = self.engine(batch) / learned
        self.engine.backward(loss * self.world)
        if not last:
            self.engine.step()  # counts the micro-batch
        return loss.item()

    def step(self, learning_rate: float) -> None:
        """See :class:`Engine`; DeepSpeed clips by its own settings, which are the recipe's."""
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        self.engine.step()


class _Zero:
    """What both stages share: flat fp32 partitions in torch's AdamW, whose moments are made at once."""

    def __init__(self, optimizer: Any, partitions: Sequence[Tensor]) -> None:
        self.optimizer = optimizer
        self.adam: torch.optim.Optimizer = optimizer.optimizer
        for flat in partitions:
            self.adam.state[flat] = {
                _STEP: torch.zeros((), device=flat.device),
                **{kind: torch.zeros_like(flat) for kind in ("exp_avg", "exp_avg_sq")},
            }

    def weight(self, parameter: nn.Parameter) -> Tensor:
        from deepspeed.utils import safe_get_full_fp32_param  # type: ignore[import-untyped]

        return cast(Tensor, safe_get_full_fp32_param(parameter)).detach().cpu()

    def moments(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        from deepspeed.utils import safe_get_full_optimizer_state

        states = next(iter(self.adam.state.values()))
        found = {k: safe_get_full_optimizer_state(parameter, k).cpu() for k in states if k != _STEP}
        return {_STEP: states[_STEP].cpu().clone(), **found}

    def _count(self, moments: Mapping[str, Tensor]) -> None:
        """Take over the number of steps, which DeepSpeed keeps once for all parameters of a partition."""
        for state in self.adam.state.values():
            state[_STEP].fill_(float(moments[_STEP]))


class _Stage2(_Zero):
    """Weights whole on every process, their fp32 copies and moments in parts."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer, optimizer.single_partition_of_fp32_groups)
        optimizer._lazy_init_hp_params_optimizer_state()

    def put(self, parameter: nn.Parameter, weight: Tensor, moments: Mapping[str, Tensor]) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        parameter.copy_(weight)
        safe_set_full_fp32_param(parameter, weight)
        for kind, moment in moments.items():
            if kind != _STEP:
                safe_set_full_optimizer_state(parameter, moment, kind)
        if moments:
            self._count(moments)


class _Stage3(_Zero):
    """Everything in parts, flat and padded to the same length on each process."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer, optimizer.fp32_partitioned_groups_flat)

    def put(self, parameter: nn.Parameter, weight: Tensor, moments: Mapping[str, Tensor]) -> None:
        from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

        held: Tensor = cast(Any, parameter).ds_tensor

        def part(whole: Tensor) -> Tensor:
            start, stop = dist.get_rank() * held.numel(), (dist.get_rank() + 1) * held.numel()
            padded = nn.functional.pad(whole.flatten(), (0, max(0, stop - whole.numel())))
            return padded[start:stop].to(held.device)

        held.copy_(part(weight))
        safe_set_local_fp32_param(parameter, part(weight))
        for kind, moment in moments.items():
            if kind != _STEP:
                safe_set_local_optimizer_state(parameter, part(moment), kind)
        if moments:
            self._count(moments)
