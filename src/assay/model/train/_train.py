"""The trainer: fine-tuning of a causal language model over the steps [start, stop) of a run.

A run is fixed by base, order of the data, recipe, size and seed; a segment is a part of it.  Segments
chain through a saved state, and the chain is equal to the uninterrupted run to the bit (CPU, fp32): the
batches follow from the step alone, dropout draws from (seed, step), and the state holds all moments.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch

from assay.core import DIVERGED, AssayError, Text, say, stored_text, to_json
from assay.model.base import pick_device
from assay.model.tokens import MicroBatch, TokenTable, micro_batches
from assay.model.train._engine import Engine, LocalEngine
from assay.model.train._memory import out_of_memory
from assay.model.train._recipe import Indices
from assay.model.train._segment import Advance, Segment, TrainReport
from assay.model.train._state import has_state

SAVE_EVERY_SECONDS = 20.0

_LESS_TO_HOLD = (
    "recipe.gradient_checkpointing or offload_activations, a smaller recipe.max_tokens, "
    "adapter: lora or qlora, or several GPUs (where.launch)"
)


class _Run:
    """The mutable state of one segment under way."""

    def __init__(self, engine: Engine, segment: Segment, table: TokenTable, order: Indices) -> None:
        self.engine, self.segment, self.table, self.order = engine, segment, table, order
        self.tokens = self.learned = self.padded = 0
        self.before = 0
        """Tokens of earlier processes, which were killed: they say nothing of this one's speed."""
        self.micro_tokens = segment.recipe.micro_tokens
        self.trace: list[tuple[int, float]] = []
        self.notes: list[Text] = []

    def step(self, step: int) -> None:
        """Take one optimizer step."""
        engine, segment, recipe = self.engine, self.segment, self.segment.recipe
        rows = recipe.batch(self.order, segment.n_train, segment.seed, step)
        learned = sum(int(self.table.row(int(row))[1][1:].sum()) for row in rows)
        if learned:
            loss, padded = self._fitting_gradient(rows, learned, step)
            loss, padded = engine.sum([loss, padded])
            if not math.isfinite(loss):
                raise AssayError(
                    DIVERGED,
                    place=f"step {step} of a run on {segment.n_train} samples, seed {segment.seed}",
                    expected="a finite loss",
                    hint="lower recipe.learning_rate or recipe.clip_norm",
                )
            engine.step(recipe.learning_rate_at(step, segment.n_train))
            self.trace.append((step, loss))
            self.padded += round(padded)
        self.tokens += int(self.table.lengths[rows].sum())
        self.learned += learned

    def _fitting_gradient(self, rows: Indices, learned: int, step: int) -> tuple[float, float]:
        """Gather the gradient in micro-batches that fit into memory; nothing is stepped before all do."""
        while True:
            try:
                return self._gradient(rows, learned, step)
            except (RuntimeError, MemoryError) as error:
                # One of many processes cannot turn back alone: the others wait for it inside the pass.
                if self.engine.world > 1 or not out_of_memory(error):
                    raise
            self.engine.drop()
            self._shrink(rows, step)

    def _shrink(self, rows: Indices, step: int) -> None:
        """Halve the micro-batches; raise where each is a single row already."""
        batches = self._micro_batches(rows)
        if len(batches) == len(rows):
            raise AssayError(
                "a single sample does not fit in memory",
                place=f"step {step}, device {self.engine.device}",
                value=f"{int(self.table.lengths[rows].max())} tokens",
                expected="more memory, or less to hold",
                hint=_LESS_TO_HOLD,
            )
        before, largest = self.micro_tokens, max(batch.ids.numel() for batch in batches)
        self.micro_tokens = min(before, largest) // 2
        self.notes.append(say("note.memory.step", step=step, now=self.micro_tokens, before=before))

    def _micro_batches(self, rows: Indices) -> list[MicroBatch]:
        engine = self.engine
        return micro_batches(
            self.table,
            rows,
            self.micro_tokens,
            pad=engine.pad,
            packing=engine.packing,
            rank=engine.rank,
            world=engine.world,
        )

    def _gradient(self, rows: Indices, learned: int, step: int) -> tuple[float, float]:
        """Gather the gradient of this process's share; return its part of the loss, and its padded tokens."""
        engine, segment = self.engine, self.segment
        torch.manual_seed(segment.seed * 1_000_003 + step + (engine.rank << 40))
        batches = self._micro_batches(rows)
        padded = sum(batch.ids.numel() for batch in batches)
        if engine.world == 1:
            batches = [batch for batch in batches if bool(batch.learned[:, 1:].any())]
        total = 0.0
        for place, batch in enumerate(batches, 1):
            total += engine.backward(batch, learned, last=place == len(batches))
        return total, padded

    def note(self, seconds: float) -> str:
        """Return the loss of the last step, and tokens per second since this process began."""
        if not self.trace:
            return "steps"
        speed = (self.tokens - self.before) / max(seconds, 1e-9)
        return f"loss {self.trace[-1][1]:.3g}, {speed:,.0f} tokens/s"

    def save(self, folder: Path, step: int) -> None:
        """Write the state with the counts so far."""
        counts = [self.tokens, self.learned, self.padded, self.trace, self.micro_tokens, to_json(self.notes)]
        self.engine.save(folder, step, {"counts": counts})

    def load(self, folder: Path, *, counts: bool) -> int:
        """Load a state; with ``counts`` it is this segment's own, else that of the one before."""
        step, notes = self.engine.load(folder)
        if counts:
            self.tokens, self.learned, self.padded, trace, fitting, told = notes["counts"]
            self.before = self.tokens
            self.notes = list(map(stored_text, told))
            self.micro_tokens = min(fitting, self.micro_tokens)
            self.trace = [(int(s), float(v)) for s, v in trace]
        return step

    def begin(self, state: Path | None, scratch: Path) -> int:
        """Load where there is something to go on from; return the first step to take."""
        if has_state(scratch):
            first = self.load(scratch, counts=True)
        elif state is not None:
            first = self.load(state, counts=False)
        else:
            first = 0
        if not self.segment.start <= first <= self.segment.stop:
            raise AssayError("the state does not fit the segment", value=first, expected=str(self.segment))
        return first


def train_segment(
    engine: Engine,
    segment: Segment,
    *,
    state: Path | None,
    table: TokenTable,
    order: Indices,
    out: Path,
    advance: Advance = lambda done, total, unit: None,
) -> TrainReport:
    """Take the steps of a segment, as one process of those that the engine runs on; see :class:`Trainer`."""
    run = _Run(engine, segment, table, order)
    scratch = out / "scratch" / "state"
    first = run.begin(state, scratch)
    began = saved = time.monotonic()
    for step in range(first, segment.stop):
        run.step(step)
        advance(step + 1 - segment.start, segment.stop - segment.start, run.note(time.monotonic() - began))
        # The first process's clock decides for all.
        due = engine.rank == 0 and time.monotonic() - saved > SAVE_EVERY_SECONDS
        if any(engine.sum([due])):
            run.save(scratch, step + 1)
            saved = time.monotonic()
    if segment.stop == segment.recipe.steps(segment.n_train):
        engine.write_model(out / "model")
    else:
        run.save(out / "state", segment.stop)
    return TrainReport(
        steps=segment.stop - segment.start,
        samples=segment.recipe.samples_in(segment.n_train, segment.start, segment.stop),
        tokens=run.tokens,
        learned_tokens=run.learned,
        padded_tokens=run.padded,
        seconds=time.monotonic() - began,
        device=engine.device,
        trace=tuple(run.trace),
        micro_tokens=run.micro_tokens,
        notes=tuple(run.notes),
    )


def train_full(
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
    """Fine-tune on one device; see :class:`Trainer`."""
    device = pick_device(device)
    try:
        engine = LocalEngine(base, segment.recipe, segment.seed, device)
        return train_segment(engine, segment, state=state, table=table, order=order, out=out, advance=advance)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise AssayError(
            "model and optimizer do not fit in memory",
            place=f"device {device}",
            expected="more memory, or less to hold",
            hint=_LESS_TO_HOLD,
        ) from error
