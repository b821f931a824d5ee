"""Training at size on one GPU: speed, share of peak and memory, beside TRL's default and plain padding.

    python benchmarks/gpu_training.py                        # one GPU, about 15 minutes
    python benchmarks/gpu_training.py --device cpu --tiny    # the same script on tiny shapes, 1 to 2 minutes

Nothing is fetched: models have the shapes of Llama-3.2-1B and BLOOM-1b1 and random weights, samples are the
testbed's, several in a conversation, so that lengths differ as in instruction data.  All ways take the same
samples in optimizer batches of the same size, fp32 weights and bf16 autocast:

- assay: Assay's trainer, without and with gradient checkpointing;
- trl: TRL's SFTTrainer as it comes (batches of 8, padded; its own loss; checkpointing), if it is installed;
- padded: random batches of 8, cut off, padded to their longest, all logits, checkpointing (LLaMA-Factory).

Tokens are those of samples, padding not counted.  Memory is the allocator's peak (on the CPU: what torch's
MemTracker counts of one micro-batch) beside the estimate; more than 15 % apart is flagged.  The last part is
a study: a ladder of a Llama ten times the pocket model's size, from random weights, on the testbed.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assay.core import AssayError, Message, Sample
from assay.data import synthetic
from assay.model import (
    DEVICES,
    Recipe,
    Segment,
    TokenTable,
    load_tokenizer,
    preset,
    read_shape,
    resolve_base,
    this_gpu,
    training_memory,
    write_tokens,
)
from assay.model.base import load_whole
from assay.model.train import LocalEngine, out_of_memory
from assay.model.train._train import _Run

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {
        "model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192,
        "max_position_embeddings": 4096, "tie_word_embeddings": True,
    },
    "bloom": {
        "model_type": "bloom", "vocab_size": 250880, "hidden_size": 1536, "n_layer": 24, "n_head": 16,
        "tie_word_embeddings": True,
    },
    "pocket x10": {
        "model_type": "llama", "vocab_size": 4096, "hidden_size": 384, "num_hidden_layers": 7,
        "num_attention_heads": 12, "intermediate_size": 1024, "max_position_embeddings": 1024,
        "tie_word_embeddings": True,
    },
}  # fmt: skip
TINY = {
    "llama": {"vocab_size": 8192, "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
              "num_key_value_heads": 2, "head_dim": 32, "intermediate_size": 512},
    "bloom": {"vocab_size": 8192, "hidden_size": 128, "n_layer": 4, "n_head": 4},
    "pocket x10": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
                   "intermediate_size": 176},
}  # fmt: skip
PLAIN_ROWS = 8
TOLERANCE = 0.15


@dataclass(frozen=True)
class Size:
    """How much is run: optimizer steps, those that warm up, samples a step, tokens a micro-batch."""

    steps: int = 14
    warm: int = 4
    batch: int = 64
    micro_tokens: int = 8192
    turns: float = 8.0
    rungs: tuple[int, ...] = (1000, 2000, 4000, 8000, 16000, 32000)
    seeds: int = 3
    evaluated: int = 600


SMALL = Size(steps=4, warm=1, batch=16, micro_tokens=2048, turns=2.0, rungs=(96, 192), seeds=1, evaluated=24)


@dataclass(frozen=True)
class Row:
    """One way of training one model.  ``note`` says why there is no figure; memory in bytes."""

    model: str
    way: str
    tokens_per_second: float | None = None
    share_of_peak: float | None = None
    memory: int | None = None
    estimate: float | None = None
    note: str = ""

    @property
    def off(self) -> float | None:
        """How far the estimate is from the memory, as a share of the memory."""
        return None if self.memory is None or self.estimate is None else self.estimate / self.memory - 1


def write_model(folder: Path, shape: dict[str, Any], device: str) -> Path:
    """Write a model of random weights with the pocket model's tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder.mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (resolve_base("pocket") / file).exists():
            shutil.copy(resolve_base("pocket") / file, folder / file)
    torch.manual_seed(0)
    config = AutoConfig.for_model(**shape, pad_token_id=0, bos_token_id=None, eos_token_id=1)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    return folder


def conversations(count: int, turns: float) -> Iterator[Sample]:
    """Yield samples of one to many exchanges of the testbed: log-normal, ``turns`` in the mean."""
    rng = np.random.default_rng(0)
    stream = iter(synthetic.generate(10**9, seed=0))
    for index in range(count):
        parts: list[Message] = []
        for _ in range(max(1, round(turns * float(rng.lognormal(-0.32, 0.8))))):
            parts += next(stream).sample.messages
        yield Sample(messages=tuple(parts), origin=f"testbed:{index}")


@contextmanager
def clean_gpu() -> Iterator[None]:
    """Begin with an empty GPU and a fresh count of its peak; end as empty."""

    def empty() -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    empty()
    yield
    empty()


def now() -> float:
    """Return the time when all that was asked of the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Bench:
    """One model's samples, and the ways to train it on them."""

    def __init__(self, name: str, folder: Path, size: Size, device: str, work: Path) -> None:
        self.name, self.folder, self.size, self.device = name, folder, size, device
        self.shape = read_shape(folder)
        gpu = this_gpu() if device == "cuda" else None
        self.peak = (gpu or DEVICES["cpu"]).bf16
        tokens = work / f"{name} tokens"
        tokens.mkdir()
        samples = conversations(size.steps * size.batch, size.turns)
        write_tokens(load_tokenizer(folder), samples, tokens, 1024)
        self.table = TokenTable(tokens)
        self.recipe = preset(
            "belle", epochs=1, dtype="bf16", batch_size=size.batch, micro_tokens=size.micro_tokens
        )
        self.order = np.random.default_rng(0).permutation(len(self.table))
        self.timed_tokens = (size.steps - size.warm) * size.batch * float(self.table.lengths.mean())

    def run(self, way: str, train: Callable[[], Row]) -> Row:
        """Return a way's row, or why there is none."""
        with clean_gpu():
            try:
                return replace(train(), way=way)
            except (RuntimeError, MemoryError, ImportError, AssayError) as error:
                why = "out of memory" if out_of_memory(error) else f"{type(error).__name__}: {error}"
                return Row(self.name, way, note=why.splitlines()[0])

    def row(self, seconds: float, memory: int | None, estimate: float | None = None) -> Row:
        """Return the figures of a timed run."""
        speed = self.timed_tokens / seconds
        share = 6 * self.shape.multiplied * speed / self.peak
        return Row(self.name, "", speed, share, memory, estimate)

    def memory(self) -> int | None:
        """Return the allocator's peak."""
        return torch.cuda.max_memory_allocated() if self.device == "cuda" else None

    def assay(self, **changes: Any) -> Row:
        """Train by Assay's own loop."""
        recipe = replace(self.recipe, **changes)
        segment = Segment(recipe, 0, len(self.table), 0, recipe.steps(len(self.table)))
        engine = LocalEngine(self.folder, recipe, 0, self.device)
        run = _Run(engine, segment, self.table, self.order)
        began = 0.0
        for step in range(self.size.steps):
            if step == self.size.warm:
                began = now()
            run.step(step)
        seconds, memory = now() - began, self.memory()
        if memory is None:
            memory = self.tracked(engine, recipe)
        return self.row(seconds, memory, training_memory(self.shape, recipe).peak)

    def tracked(self, engine: LocalEngine, recipe: Recipe) -> int:
        """Return the peak that torch's tracker counts of a full micro-batch, gradients and moments held."""
        from torch.distributed._tools.mem_tracker import MemTracker

        from assay.model.tokens import MicroBatch

        width = recipe.max_tokens
        ids = torch.ones(max(1, recipe.micro_tokens // width), width, dtype=torch.long)
        for parameter in engine.loss.parameters():
            parameter.grad = torch.zeros_like(parameter)
        tracker = MemTracker()
        tracker.track_external(engine.loss, engine.optimizer, *(p.grad for p in engine.loss.parameters()))
        with tracker:
            engine.backward(MicroBatch(ids, torch.ones_like(ids, dtype=torch.bool)), ids.numel(), last=True)
        found: int = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]
        return found

    def plain(self) -> Row:
        """Train on random batches padded to the longest, through the model's own loss over all logits."""
        model = load_whole(self.folder, self.device).train()
        model.activation_checkpointing_enable({"use_reentrant": False})
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.recipe.learning_rate, fused=True)
        began = 0.0
        for step in range(self.size.steps):
            if step == self.size.warm:
                began = now()
            rows = self.order[step * self.size.batch : (step + 1) * self.size.batch]
            parts = np.array_split(rows, max(1, len(rows) // PLAIN_ROWS))
            for part in parts:
                batch = self.padded(part)
                with torch.autocast(self.device, torch.bfloat16):
                    loss = model(**batch).loss / len(parts)
                loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return self.row(now() - began, self.memory())

    def padded(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Return rows as a first script would batch them."""
        items = [self.table.row(int(row)) for row in rows]
        width = max(len(ids) for ids, _ in items)
        ids = torch.zeros(len(items), width, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for line, (row, learned) in enumerate(items):
            ids[line, : len(row)] = torch.from_numpy(row.astype(np.int64))
            mask[line, : len(row)] = 1
            labels[line, : len(row)] = torch.from_numpy(np.where(learned, row, -100).astype(np.int64))
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def trl(self) -> Row:
        """Train by TRL's SFTTrainer with its defaults, on the same tokens and labels."""
        from datasets import Dataset
        from transformers import TrainerCallback
        from trl import SFTConfig, SFTTrainer

        rows = [self.table.row(int(row)) for row in self.order]
        data = Dataset.from_dict(
            {
                "input_ids": [ids.tolist() for ids, _ in rows],
                "labels": [np.where(learned, ids, -100).tolist() for ids, learned in rows],
            }
        )
        times: list[float] = []

        class Clock(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, *_: Any, **__: Any) -> None:
                times.append(now())

        rows_at_once = min(PLAIN_ROWS, self.size.batch)
        with tempfile.TemporaryDirectory() as out:
            settings = SFTConfig(
                output_dir=out, max_steps=self.size.steps, per_device_train_batch_size=rows_at_once,
                gradient_accumulation_steps=self.size.batch // rows_at_once, bf16=True, max_length=1024,
                learning_rate=self.recipe.learning_rate, save_strategy="no", report_to=[], disable_tqdm=True,
                logging_steps=10**9, use_cpu=self.device == "cpu",
                dataset_kwargs={"skip_prepare_dataset": True},
            )  # fmt: skip
            tokenizer = load_tokenizer(self.folder)
            model = load_whole(self.folder, self.device)
            trainer = SFTTrainer(
                model, settings, train_dataset=data, processing_class=tokenizer, callbacks=[Clock()]
            )
            trainer.train()
        return self.row(times[-1] - times[self.size.warm - 1], self.memory())

    def rows(self) -> Iterator[Row]:
        """Run all ways, one after the other."""
        yield self.run("assay", self.assay)
        yield self.run("assay, checkpointing", lambda: self.assay(gradient_checkpointing=True))
        yield self.run("trl", self.trl)
        yield self.run("padded", self.plain)


def ladder(base: Path, size: Size, device: str, work: Path) -> list[dict[str, Any]]:
    """Run a study of the larger sibling on the testbed; return its points."""
    from assay import study

    config = study.parse_config(
        {
            "name": "pocket-x10",
            "base": str(base),
            "pool": {"testbed": {"samples": max(size.rungs)}},
            "evaluation": {"testbed": {"samples": size.evaluated, "seed": 1}},
            "ladder": {"rungs": list(size.rungs), "seeds": size.seeds},
            "recipe": {"preset": "pocket", "dtype": "bf16" if device == "cuda" else "fp32", "epochs": 3,
                       "micro_tokens": 32768 if device == "cuda" else 2048, "batch_size": 32},
            "where": {"device": device, "store": str(work / "store"), "pool": "inline"},
        }
    )  # fmt: skip
    result = study.run(config, out=work / "report")
    points = [point for point in result.points if point.type == "overall"]
    return [{k: getattr(p, k) for k in ("arm", "n_train", "seed", "metric", "value")} for p in points]


def show(rows: list[Row], points: list[dict[str, Any]]) -> None:
    """Print both tables."""
    print("| model | way | tokens/s | share of peak | memory GB | estimate GB | off | |\n|" + "---|" * 8)
    for row in rows:
        flag = "MORE THAN 15 % OFF" if row.off is not None and abs(row.off) > TOLERANCE else row.note
        cells = [
            row.model, row.way, _cell(row.tokens_per_second, ",.0f"), _cell(row.share_of_peak, ".1%"),
            _cell(None if row.memory is None else row.memory / 1e9, ".3f"),
            _cell(None if row.estimate is None else row.estimate / 1e9, ".3f"), _cell(row.off, "+.1%"), flag,
        ]  # fmt: skip
        print(f"| {' | '.join(cells)} |")
    print("\n| samples | seed | metric | value |\n|---|---|---|---|")
    for point in points:
        print(f"| {point['n_train']:,} | {point['seed']} | {point['metric']} | {point['value']:.4f} |")


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def machine(device: str) -> dict[str, Any]:
    """Return what the figures were taken on."""
    found: dict[str, Any] = {"device": device, "python": platform.python_version()}
    gpu = this_gpu() if device == "cuda" else None
    found["gpu"] = None if gpu is None else asdict(gpu)
    for package in ("torch", "transformers", "trl", "flash-attn", "liger-kernel"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def main() -> None:
    """Run everything, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, few steps: to see that it runs")
    parser.add_argument("--models", nargs="*", default=["llama", "bloom"], choices=["llama", "bloom"])
    parser.add_argument("--no-ladder", action="store_true")
    parser.add_argument("--quick", action="store_true", help="the same as --device cpu --tiny")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    tiny, device = arguments.tiny or arguments.quick, "cpu" if arguments.quick else arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        print("skipped: no GPU here; --device cpu --tiny runs the same on tiny shapes")
        return
    size = SMALL if tiny else Size()
    written = arguments.out or Path("runs") / f"gpu_training{'-tiny' if tiny else ''}.json"
    rows: list[Row] = []
    points: list[dict[str, Any]] = []
    found: dict[str, Any] = {"machine": machine(device), "size": asdict(size)}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)

        def write() -> None:
            found["rows"] = [{**asdict(row), "off": row.off} for row in rows]
            found["ladder"] = points
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(json.dumps(found, indent=1))

        for name in arguments.models:
            shape = SHAPES[name] | (TINY[name] if tiny else {})
            bench = Bench(name, write_model(work / name, shape, device), size, device, work)
            print(f"{name}: {bench.shape.parameters:,} weights, {len(bench.table)} samples, "
                  f"mean {bench.table.lengths.mean():.0f} tokens", flush=True)  # fmt: skip
            for row in bench.rows():
                print(f"  {row.way}: {_cell(row.tokens_per_second, ',.0f')} tokens/s {row.note}", flush=True)
                rows.append(row)
                write()
        if not arguments.no_ladder:
            shape = SHAPES["pocket x10"] | (TINY["pocket x10"] if tiny else {})
            began = time.perf_counter()
            points = ladder(write_model(work / "pocket x10", shape, device), size, device, work)
            found["ladder_seconds"] = time.perf_counter() - began
        write()
    show(rows, points)


if __name__ == "__main__":
    main()
