"""Memory and time of a training before it starts, from a model folder's ``config.json`` alone.

Memory is counted tensor by tensor, as the trainer holds them at its peak: weights, gradients and moments of
AdamW in fp32; what autograd saves of a micro-batch; the head's chunk of logits.
``benchmarks/memory_estimate.py`` compares it with torch's own count of real training steps.  Time is 6
operations a weight and token (Kaplan et al. 2020) at an assumed share of a device's peak, hence a range.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from assay.core import Column, Page, Paragraph, Say, Shown, Table, page, say
from assay.model.estimate._shape import Linear, Shape
from assay.model.launch import Launch
from assay.model.train import Recipe

GIB = 2**30
# Of a GPU's memory: the rest goes to CUDA's context, communication buffers and fragmentation.
USABLE = 0.92
SHARE_OF_PEAK = (0.25, 0.5)
# Weights of NF4 with double quantization (Dettmers et al. 2023, section 3).
_NF4_BYTES = 0.5 + 0.127 / 8
_CHUNK = 512  # tokens whose logits are held at once (_loss.CHUNK)
# DeepSpeed's defaults: weights of stage 3 that may be gathered at once, and of a bucket of gradients.
_LIVE_WEIGHTS, _BUCKET = 1e9, 5e8


@dataclass(frozen=True, slots=True)
class Device:
    """A device: memory in GiB (None: not limited here) and peak operations a second by type."""

    name: str
    memory: float | None
    bf16: float
    fp32: float


DEVICES: Mapping[str, Device] = {
    d.name: d
    for d in (
        Device("cpu", None, 1e11, 1e11),
        Device("t4", 16, 8.1e12, 8.1e12),
        Device("v100-16", 16, 15.7e12, 15.7e12),
        Device("v100-32", 32, 15.7e12, 15.7e12),
        Device("3090", 24, 71e12, 35.6e12),
        Device("4090", 24, 165e12, 82.6e12),
        Device("a100-40", 40, 312e12, 19.5e12),
        Device("l40s", 48, 362e12, 91.6e12),
        Device("a100-80", 80, 312e12, 19.5e12),
        Device("h100", 80, 989e12, 67e12),
        Device("h200", 141, 989e12, 67e12),
    )
}
"""Dense peaks of NVIDIA's data sheets: T4, V100 (no bf16 units: fp32 counts), A100, L40S, H100 SXM, H200, and
its Ampere GA102 and Ada white papers (3090, 4090: bf16 with fp32 sums); one thread of a CPU is a guess."""


def this_gpu() -> Device | None:
    """Return this machine's first GPU with its own memory, as fast as its namesake; None without one.

    One that is not known is taken to be as slow as a T4.
    """
    import torch

    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    names = [d for d in DEVICES.values() if d.name.split("-")[0] in found.name.lower()]
    near = min(names, key=lambda d: abs((d.memory or 0) * GIB - found.total_memory), default=DEVICES["t4"])
    return replace(near, name=found.name, memory=round(found.total_memory / GIB))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on each device at the peak of a step.

    ``activations`` is what a micro-batch adds at its peak: what is saved for the backward pass, gathered
    weights, and the head.  ``trained`` counts the weights that learn, ``parameters`` all.
    """

    parameters: int
    trained: int
    weights: float
    gradients: float
    moments: float
    activations: float

    @property
    def peak(self) -> float:
        """All of it."""
        return self.weights + self.gradients + self.moments + self.activations


def training_memory(shape: Shape, recipe: Recipe, launch: Launch | None = None) -> Memory:
    """Return what one step of a recipe takes on each device, its micro-batches as full as they get."""
    launch = launch or Launch()
    count = _Count(shape, recipe, launch)
    weights, gradients, moments = count.states()
    return Memory(shape.parameters, count.trained, weights, gradients, moments, count.activations())


def saved_for_backward(shape: Shape, recipe: Recipe) -> float:
    """Return bytes that autograd saves of a micro-batch, bf16 copies of weights included."""
    count = _Count(shape, recipe, Launch())
    return shape.layers * count.per_layer() + count.edges() + count.copies()


class _Count:
    """The sums behind :func:`training_memory`, all in bytes.

    ``product``: of a number that a matrix product reads; ``stream``: of one in the hidden states between
    blocks, 2 where the weights are held in bf16 and 4 where bf16 is autocast of fp32 weights.
    """

    def __init__(self, shape: Shape, recipe: Recipe, launch: Launch) -> None:
        self.shape, self.recipe, self.launch = shape, recipe, launch
        self.full = recipe.adapter == "none"
        self.bf16 = recipe.dtype == "bf16"
        self.sharded = launch.processes > 1
        self.product = 2 if self.bf16 else 4
        self.autocast = self.bf16 and self.full and not self.sharded
        self.stream = 2 if self.bf16 and not self.autocast else 4
        self.targets = () if self.full else shape.targets(recipe.targets)
        rows = math.ceil(recipe.batch_size / launch.processes)
        self.tokens = min(max(recipe.micro_tokens, recipe.max_tokens), rows * recipe.max_tokens)
        self.row = min(recipe.max_tokens, self.tokens)

    @property
    def adapters(self) -> int:
        """Weights of the adapters."""
        dora = self.recipe.adapter == "dora"
        beside = self.shape.experts if not self.recipe.targets else None
        experts = beside.adapters(self.recipe.rank) if beside else 0
        each = (self.recipe.rank * (t.d_in + t.d_out) + dora * t.d_out for t in self.targets)
        return self.shape.layers * (sum(each) + experts)

    @property
    def trained(self) -> int:
        """Weights that learn."""
        return self.shape.parameters if self.full else self.adapters

    def states(self) -> tuple[float, float, float]:
        """Return bytes of weights, gradients and moments."""
        shape, world, strategy = self.shape, self.launch.processes, self.launch.strategy
        if not self.full:
            packed = shape.linear_parameters if self.recipe.adapter == "qlora" else 0
            frozen = packed * _NF4_BYTES + (shape.parameters - packed) * self.product
        else:
            frozen = 0.0
        trained = self.trained
        if not self.sharded:
            return frozen + 4 * trained, 4 * trained, 8 * trained
        here = 0 if self.launch.offload else 1 / world
        if strategy == "fsdp":
            return (frozen + 4 * trained) * here, 4 * trained * here, 8 * trained * here
        # DeepSpeed: weights in the products' type, and an fp32 copy of what learns beside the moments.
        held = frozen + self.product * trained
        copy = 4 * trained if self.bf16 else 0
        spread = held * here if strategy == "zero3" else held
        return spread + copy * here, self.product * trained / world, 8 * trained * here

    def activations(self) -> float:
        """Return the most that a micro-batch adds, over the moments of a step that can be its peak."""
        shape, tokens = self.shape, self.tokens
        copies = self.copies()
        hidden = tokens * shape.width * self.stream
        saved = 0 if self.recipe.offload_activations else shape.layers * self.per_layer() + self.edges()
        table = 4 * shape.table if self.full else 0
        # Logits that pass a soft cap are all held: twice in the products' type, then thrice in fp32 as well.
        capped = shape.capped * tokens * shape.vocabulary
        # Blocks that are computed again, or fetched from the CPU, are whole on the device one at a time, and
        # so are their bf16 copies of weights once the pass is over.
        apart = self.recipe.gradient_checkpointing or self.recipe.offload_activations
        forward = saved + copies + hidden + 2 * self.product * capped + self.dora_norm()
        loss = (2 * self.product + 12) * capped or self.head()
        head = saved + (0 if apart else copies) + hidden + loss
        block = self.block() + copies / shape.layers + self.slopes() + self.dora_norm()
        backward = saved + apart * block + shape.tied * table
        last = table * (2 if shape.tied else 1)
        return max(forward, head, backward, last) + self.gathered()

    def copies(self) -> float:
        """Return the bf16 copies of fp32 weights that autocast makes and autograd keeps."""
        if self.autocast:
            return 2 * (self.shape.linear_parameters + self.shape.expert_parameters)
        return 0

    def per_layer(self) -> float:
        """Return what is saved of each block: all, or its input alone where it is computed again."""
        again = self.recipe.gradient_checkpointing
        return self.tokens * self.shape.width * self.stream if again else self.block()

    def block(self) -> float:
        """Return what autograd saves of one block."""
        shape, b = self.shape, self.product
        per_token = self.norms() + sum(map(self.input, shape.linears)) + self.attention()
        experts, merged = shape.experts, 0
        if experts:
            # Rows are gathered for each expert that is chosen, and their results weighed.
            per_token += experts.chosen * (2 * shape.width + experts.saved * experts.inner) * b
            # peft adds what its adapters say to the experts' weights, which autograd then keeps.
            merged = b * experts.parameters * (experts.adapted and not (self.full or self.recipe.targets))
        else:
            per_token += (3 if shape.family.gated else 1) * shape.inner * b
        if self.recipe.adapter == "dora":
            # The products of base and adapter, apart, as the learned magnitude weighs them.
            per_token += sum(2 * b * t.d_out for t in self.targets)
        return self.tokens * per_token + merged

    def dora_norm(self) -> float:
        """Return what the norm of one matrix takes, which peft computes through a unit matrix."""
        if self.recipe.adapter != "dora":
            return 0
        return max((4 + self.product) * t.d_in**2 + 8 * t.d_in * t.d_out for t in self.targets)

    def norms(self) -> float:
        """Return bytes a token that the norms of a block save."""
        shape, width = self.shape, self.shape.width
        if shape.family.layer_norm:
            inputs = 1 if shape.parallel else 2
            return inputs * width * self.stream + shape.family.norms * 2 * self.stream
        # The input in fp32, one over its root mean square, and what a trained scale is multiplied with.
        fp32 = shape.model_type.startswith("gemma")
        found = shape.family.norms * (width * (4 + self.full * (4 if fp32 else self.stream)) + 4)
        if shape.family.head_norms:
            heads = shape.heads + shape.kv_heads
            found += heads * (shape.head_dim * (4 + self.full * (4 if fp32 else self.product)) + 4)
        return found

    def input(self, linear: Linear) -> float:
        """Return bytes a token that a matrix saves of its input, where nothing else has saved it."""
        b, learning = self.product, self.shape.linears if self.full else self.targets
        if linear not in learning:
            return 0
        low = 0 if self.full else self.recipe.rank * b + bool(self.recipe.adapter_dropout) * linear.d_in
        # A cast makes a copy for each reader; without one they share what they read.
        casts = self.bf16 and (self.autocast or not self.full)
        if linear.reads == "heads":
            # Saved by the attention already, but for an adapter's own cast.
            own = casts and not self.autocast and not self.shape.family.matrix
        else:
            own = casts or linear == next(other for other in learning if other.reads == linear.reads)
        return low + own * b * linear.d_in

    def attention(self) -> float:
        """Return bytes a token that the attention of a block saves."""
        shape, b = self.shape, self.product
        q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        if shape.model_type == "bloom":
            return 4 * q * b + shape.heads * self.row * (4 + (2 if self.bf16 else 0))
        if shape.model_type == "gpt2":
            # Scores before and after dropout with its mask; dropout of the two results; its own tanh GELU.
            scores = shape.heads * self.row * (2 * b + 6 + (2 if self.bf16 else 0))
            return 4 * q * b + scores + 2 * shape.width * (self.stream + 1) + 2 * shape.inner * b
        if shape.family.matrix:  # Gemma 2: capped scores as well, keys and values repeated
            return 4 * q * b + shape.heads * self.row * (b + 4 + (2 if self.bf16 else 0))
        if shape.family.fused:  # values keep the whole of the fused product alive
            return 7 * q * b + 4 * shape.heads
        return (2 * q + 2 * kv) * b + 4 * shape.heads

    def edges(self) -> float:
        """Return what is saved outside of the blocks: by the embedding, the last norm and the loss."""
        shape, tokens = self.shape, self.tokens
        norm = shape.width * self.stream if shape.family.layer_norm else shape.width * (4 + 4 * self.full)
        first = shape.width * self.stream if shape.model_type == "bloom" else 0
        return tokens * (norm + first + 16)

    def head(self) -> float:
        """Return what the loss holds beside hidden states and their slopes: a chunk of logits, slopes."""
        shape, chunk = self.shape, min(_CHUNK, self.tokens)
        logits = chunk * shape.vocabulary
        weight = 2 * shape.table if self.autocast else 0
        slopes, product = (4 * shape.table, self.product * shape.table) if self.full else (0, 0)
        # Twice in fp32 for their sum, beside those of the chunk before; then their slopes, and their product.
        own = 6 if self.bf16 else 4
        most = max((8 + (self.tokens > _CHUNK) * own) * logits, own * logits + product)
        return most + weight + slopes + self.tokens * shape.width * self.stream

    def slopes(self) -> float:
        """Return the slopes under way in the backward pass of one block."""
        shape = self.shape
        scores = shape.heads * self.row * 8 if shape.family.matrix else 0
        return self.tokens * (2 * shape.inner * self.product + 2 * shape.width * 4 + scores)

    def gathered(self) -> float:
        """Return the weights that are whole on every device for a moment, and buckets of gradients."""
        if not self.sharded:
            return 0
        shape, b = self.shape, self.product
        per_block = shape.linear_parameters / shape.layers
        tables = shape.table * (1 if shape.tied else 2)
        if self.launch.strategy == "fsdp":
            # Two blocks of weights and one of gradients with its fp32 sum; embedding and head throughout.
            slopes = (b + 4) * (per_block + tables) if self.full else 0
            return b * (2 * per_block + tables) + slopes
        live = min(_LIVE_WEIGHTS, shape.parameters) if self.launch.strategy == "zero3" else 0
        return b * (live + 2 * min(_BUCKET, self.trained))


@dataclass(frozen=True, slots=True)
class TrainingEstimate(Shown):
    """What a training takes on each of ``devices`` devices, and how long.

    ``memory`` in GiB of one device (None: not limited); ``hours`` from and to, None where no speed is known.
    ``change`` is the cheapest change of recipe or launch with which it fits, where it does not fit as it is
    and one was found.
    """

    method: str
    devices: int
    device: str
    memory: float | None
    needs: Memory
    fits: bool
    hours: tuple[float, float] | None
    change: str | None = None
    strategy: str = "fsdp"

    def said(self) -> Say:
        """Return it in a sentence: "7.1B full, 8×80 GB: fits (48 GB), 24–47 h"."""
        size = self.needs.parameters
        count = f"{size / 1e9:.1f}B" if size >= 1e9 else f"{size / 1e6:.1f}M"
        place = self.device if self.memory is None else f"{self.memory:g} GB"
        if self.devices > 1 or self.memory is not None:
            place = f"{self.devices}×{place}"
        place += f" {self.strategy}" if self.devices > 1 else ""
        parts = {"size": count, "method": self.method, "place": place, "need": _gigabytes(self.needs.peak)}
        if not self.fits:
            return say(
                "estimate.too_big" if self.change else "estimate.no_change", **parts, change=self.change
            )
        key = "estimate.needs" if self.memory is None else "estimate.fits"
        time = "" if self.hours is None else say("estimate.time", time=_span(*self.hours))
        return say(key, **parts, time=time)

    def as_page(self) -> Page:
        """Return the sentence, and what takes the memory."""
        needs = self.needs
        parts = ("weights", "gradients", "moments", "activations")
        rows = tuple((say(f"estimate.{name}"), getattr(needs, name) / GIB) for name in parts)
        columns = (Column(say("estimate.memory")), Column(say("estimate.gigabytes"), ".2f"))
        learn = say("estimate.learn", trained=needs.trained, all=needs.parameters)
        return page(Paragraph(self.said(), "strong"), Table(columns, rows), Paragraph(learn))


def estimate_training(
    shape: Shape, recipe: Recipe, device: Device, *, launch: Launch | None = None, tokens: float | None = None
) -> TrainingEstimate:
    """Estimate a training of ``tokens`` tokens in all (every pass counts), or its memory alone for None."""
    launch = launch or Launch()
    needs = training_memory(shape, recipe, launch)
    fits = _fits(needs, device)
    change = None
    if not fits:
        kinds = (_here(recipe, launch), _more(recipe, launch), _adapters(recipe, launch))
        found = [
            next((said for said, r, n in kind if _fits(training_memory(shape, r, n), device)), None)
            for kind in kinds
        ]
        change = found[0] or " or ".join(filter(None, found[1:])) or None
    return TrainingEstimate(
        _method(recipe), launch.processes, device.name, device.memory, needs, fits,
        None if tokens is None else _hours(shape, recipe, device, launch, tokens), change, launch.strategy,
    )  # fmt: skip


def smallest_machine(shape: Shape, recipe: Recipe) -> tuple[Device, Launch] | None:
    """Return the well-known GPU with least memory that a recipe fits on, else the fewest of the largest."""
    gpus = [d for d in DEVICES.values() if d.memory and (recipe.dtype == "fp32" or d.bf16 > d.fp32)]
    choices = [(gpu, Launch()) for gpu in sorted(gpus, key=lambda d: (d.memory, d.bf16))]
    choices += [(DEVICES["a100-80"], Launch(2**k)) for k in range(1, 7)]
    return next((c for c in choices if _fits(training_memory(shape, recipe, c[1]), c[0])), None)


def _fits(needs: Memory, device: Device) -> bool:
    return device.memory is None or needs.peak <= USABLE * device.memory * GIB


_Change = tuple[str, Recipe, Launch]


def _here(recipe: Recipe, launch: Launch) -> Iterator[_Change]:
    """Yield changes that keep method and devices, the cheapest in time first."""
    smaller = replace(recipe, micro_tokens=min(recipe.micro_tokens, recipe.max_tokens))
    tokens = f"recipe.micro_tokens: {smaller.micro_tokens}"
    yield tokens, smaller, launch
    sharded = replace(launch, strategy="fsdp")
    if launch.processes > 1:
        yield "strategy fsdp", recipe, sharded
    yield "gradient checkpointing", _again(recipe), launch
    yield f"gradient checkpointing and {tokens}", _again(smaller), launch
    if launch.processes > 1:
        yield f"strategy fsdp, gradient checkpointing and {tokens}", _again(smaller), sharded


def _more(recipe: Recipe, launch: Launch) -> Iterator[_Change]:
    """Yield more devices of the kind, twice as many each time."""
    if recipe.adapter == "qlora":
        return
    for times in (2, 4, 8, 16, 32, 64):
        more = replace(launch, strategy="fsdp", processes=launch.processes * times)
        yield f"{more.processes} devices (fsdp) with gradient checkpointing", _again(recipe), more


def _adapters(recipe: Recipe, launch: Launch) -> Iterator[_Change]:
    """Yield adapters on the devices at hand; a base in 4 bits is trained on one."""
    for adapter in ("lora", "qlora"):
        if (
            adapter == recipe.adapter
            or recipe.adapter == "qlora"
            or (adapter == "qlora" and launch.processes > 1)
        ):
            continue
        other = replace(recipe, adapter=adapter)
        yield f"adapter {adapter}", other, launch
        yield f"adapter {adapter} with gradient checkpointing", _again(other), launch


def _again(recipe: Recipe) -> Recipe:
    return replace(recipe, gradient_checkpointing=True)


def _hours(
    shape: Shape, recipe: Recipe, device: Device, launch: Launch, tokens: float
) -> tuple[float, float]:
    """Return the hours at the higher and at the lower share of peak."""
    # Forward, slopes of hidden states, slopes of weights: 2 operations each a weight; recomputing is 2 more.
    per_weight = 6 if recipe.adapter == "none" else 4
    per_weight += 2 * recipe.gradient_checkpointing
    # Attention within a row: scores and sums, forward and twice backward, half of it masked.
    attention = 6 * shape.layers * shape.heads * shape.head_dim * min(recipe.max_tokens, 512)
    peak = (device.bf16 if recipe.dtype == "bf16" else device.fp32) * launch.processes
    seconds = tokens * (per_weight * shape.multiplied + attention) / peak
    low, high = SHARE_OF_PEAK
    return seconds / high / 3600, seconds / low / 3600


def _method(recipe: Recipe) -> str:
    names = {"none": "full", "lora": "LoRA", "dora": "DoRA", "qlora": "QLoRA"}
    return names[recipe.adapter]


def _gigabytes(size: float) -> str:
    return f"{size / GIB:.0f}" if size >= 10 * GIB else f"{size / GIB:.1f}"


def _span(low: float, high: float) -> Say:
    """Return a range of hours in the unit that reads best."""
    if high < 1 / 60:
        return say("estimate.minute")
    unit, size = next(
        ((u, h) for u, h in (("days", 24.0), ("hours", 1.0)) if high >= 2 * h), ("minutes", 1 / 60)
    )
    span = "–".join(f"{v / size:.0f}" if v >= 9.5 * size else f"{v / size:.1f}" for v in (low, high))
    return say(f"unit.{unit}", n=span)
