"""A trainer that reads what TRL reads and leaves what TRL leaves, in a second: tests start it in its place.

It goes through the rows in batches from top to bottom, lets each change the weights a little, saves
checkpoints, and goes on from one.  ``SCRIPTED`` says what goes wrong: ``fail``, ``memory``, ``wait`` (at the
second step, for ever), ``kill`` (of itself at the third step, once: ``killed`` marks that), ``short`` (it
ends a step early).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save_file


def main(arguments: list[str]) -> None:
    config = yaml.safe_load(Path(arguments[arguments.index("--config") + 1]).read_text())
    wrong = os.environ.get("SCRIPTED", "")
    if wrong == "fail":
        sys.exit("ValueError: the tokens do not fit the model")
    if wrong == "memory":
        sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")
    rows = [json.loads(line) for line in Path(config["dataset_name"], "train.jsonl").read_text().splitlines()]
    size = config["per_device_train_batch_size"] * config["gradient_accumulation_steps"]
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    base, out = Path(config["model_name_or_path"]), Path(config["output_dir"])
    first, history, weights = 0, [], load_file(base / "model.safetensors")
    if "--resume_from_checkpoint" in arguments:
        last = Path(arguments[arguments.index("--resume_from_checkpoint") + 1])
        weights = load_file(last / "model.safetensors")
        history = json.loads((last / "trainer_state.json").read_text())["log_history"]
        first = len(history)
    stop = len(batches) - (wrong == "short")
    for step in range(first, stop):
        go_wrong(wrong, step)
        history.append({"step": step + 1, "loss": learn(weights, batches[step], config)})
        print(f"\r{step + 1}/{len(batches)} [00:00<00:00]", end="", flush=True)
        if (step + 1) % config["save_steps"] == 0 or step + 1 == stop:
            save(out, base, weights, history)
    write_model(out, base, weights)


def load_file(path: Path) -> dict[str, Any]:
    """Return the tensors of a file in fp32; numpy has no bf16, which is the upper half of one."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    found = {}
    for name, facts in json.loads(raw[8:start]).items():
        if name != "__metadata__":
            low, high = (start + place for place in facts["data_offsets"])
            if facts["dtype"] == "BF16":
                halves = np.frombuffer(raw[low:high], np.uint16).astype(np.uint32) << 16
                found[name] = halves.view(np.float32).reshape(facts["shape"])
            else:
                found[name] = np.frombuffer(raw[low:high], np.float32).reshape(facts["shape"]).copy()
    return found


def go_wrong(wrong: str, step: int) -> None:
    """Wait for ever, or kill this process once, at a step."""
    if wrong == "wait" and step == 1:
        Path("waiting").write_text(str(os.getpid()))
        time.sleep(600)
    if wrong == "kill" and step == 2 and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def learn(weights: dict[str, Any], batch: list[dict[str, Any]], config: dict[str, Any]) -> float:
    """Move the last norm by what the batch says; return what stands for its loss."""
    learned = [label for row in batch for label in row["labels"] if label >= 0]
    name = next(name for name in sorted(weights) if name.endswith("norm.weight") and "layers" not in name)
    place = sum(learned) % weights[name].size
    weights[name][place] += np.float32(config["learning_rate"] * (1 + config["seed"]))
    return 1.0 + sum(learned) % 97 / 97


def save(out: Path, base: Path, weights: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """Write a checkpoint, its state last; the ones before go."""
    folder = out / f"checkpoint-{len(history)}"
    write_model(folder, base, weights)
    (folder / "trainer_state.json").write_text(
        json.dumps({"global_step": len(history), "log_history": history})
    )
    for other in out.glob("checkpoint-*"):
        if other != folder:
            shutil.rmtree(other)


def write_model(folder: Path, base: Path, weights: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "generation_config.json"):
        shutil.copyfile(base / name, folder / name)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main(sys.argv[1:])
