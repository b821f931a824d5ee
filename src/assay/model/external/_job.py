"""Trains one run with another trainer; run by the python of its environment, where Assay is not installed.

    python run.py [FOLDER]

``run.json`` in the folder (by default the one this file is in) says what to do: ``tool``, ``arguments`` of
python, ``files`` and the base with their digests, ``steps``.  The files are held against their digests, the
base is looked for, the trainer is started where it stopped (``out/checkpoint-*``), what it prints goes to
``log.txt`` as well, and ``receipt.json`` says how it ended.  The standard library alone is needed.

The base is that of ``ASSAY_BASE``, else the folder handed over, else where it lay when this was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

REFUSED = 3
"""Exit status where the files are not those that were written, or the base is not there."""


def main(folder: Path) -> int:
    """Train the run of a folder; return the trainer's exit status."""
    os.chdir(folder)
    job = json.loads(Path("run.json").read_text(encoding="utf-8"))
    problem = changed(Path(), job["files"]) or link_base(job["base"])
    if problem is not None:
        print(f"{folder.name}: {problem}", file=sys.stderr)
        write_receipt(job, "refused", problem=problem, code=REFUSED)
        return REFUSED
    last = read_receipt()
    if last.get("files", job["files"]) != job["files"]:
        put_aside(Path("out"))
        put_aside(Path(job["tokenized"] or "prepared"))
        last = {}
    if last.get("status") == "finished" and steps_taken(Path("out")) >= job["steps"]:
        return 0
    began, before = time.time(), float(last.get("seconds", 0.0))
    write_receipt(job, "running", seconds=before)
    checkpoint = last_checkpoint(Path("out"))
    code = train(job, checkpoint)
    shutil.rmtree("cache", ignore_errors=True)
    write_receipt(
        job,
        "finished" if code == 0 else "failed",
        code=code,
        seconds=before + time.time() - began,
        resumed=None if checkpoint is None else checkpoint.name,
        device=device(),
    )
    return code


def sha256(path: Path) -> str:
    """Return the digest of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def changed(folder: Path, files: dict[str, str]) -> str | None:
    """Return which file of a folder is not what its digest says; None where all are."""
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file():
            return f"{path} is missing"
        if sha256(path) != wanted:
            return f"{path} is not the file that was written: its SHA-256 differs"
    return None


def link_base(base: dict[str, Any]) -> str | None:
    """Make ``base`` a link to the base model; return why it cannot be had, or None."""
    tried = [os.environ.get("ASSAY_BASE"), base["handed"], base["place"]]
    places = [Path(place) for place in tried if place and (Path(place) / "config.json").is_file()]
    if not places:
        return (
            f"the base model {base['name']} is not there: copy its folder to {base['handed']}, "
            "or name it by ASSAY_BASE"
        )
    problem = changed(places[0], base["files"])
    if problem is not None:
        return f"not the base model of this study: {problem}"
    link = Path("base")
    if link.is_symlink():
        link.unlink()
    link.symlink_to(places[0].resolve(), target_is_directory=True)
    return None


def put_aside(folder: Path) -> None:
    """Rename what was made from other files, so that nothing goes on from it."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}-of-other-files-{int(time.time())}"))


def last_checkpoint(out: Path) -> Path | None:
    """Return the last whole checkpoint; what a kill has cut is put aside."""
    found = {int(p.name.rpartition("-")[2]): p for p in out.glob("checkpoint-*") if p.name[11:].isdigit()}
    for step in sorted(found, reverse=True):
        if whole(found[step]):
            return found[step]
        shutil.rmtree(out / f"cut-{step}", ignore_errors=True)
        found[step].rename(out / f"cut-{step}")
    return None


def whole(checkpoint: Path) -> bool:
    """Say whether a checkpoint was written to its end: the trainer's state comes last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def steps_taken(out: Path) -> int:
    """Return the last step that the trainer's state tells of; 0 where nothing does."""
    taken = [0]
    for path in out.rglob("trainer_state.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            taken.append(int(json.loads(path.read_text(encoding="utf-8"))["global_step"]))
    return max(taken)


def prepare(tokenized: str) -> None:
    """Turn the rows into a folder of the library ``datasets``; it appears whole."""
    if Path(tokenized).exists():
        return
    from datasets import DatasetDict, load_dataset  # type: ignore[import-not-found,unused-ignore]

    rows = load_dataset("json", data_files="data/train.jsonl", split="train")
    shutil.rmtree(f"{tokenized}.partial", ignore_errors=True)
    DatasetDict({"train": rows}).save_to_disk(f"{tokenized}.partial")
    Path(f"{tokenized}.partial").rename(tokenized)


def environment(job: dict[str, Any]) -> dict[str, str]:
    """Return the variables of the trainer: one device for one process, a cache of its own, no telemetry."""
    processes = int(job["processes"])
    own = {
        "OMP_NUM_THREADS": str(job["threads"]),
        "HF_DATASETS_CACHE": str(Path("cache").resolve()),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "AXOLOTL_DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if processes > 1:
        own |= {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": str(processes)}
    else:
        # With one process the Trainer would spread each batch over all GPUs that it sees, and make it larger.
        own["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return {**os.environ, **own}


def train(job: dict[str, Any], checkpoint: Path | None) -> int:
    """Run the trainer to its end; what it prints goes to standard output and to ``log.txt``."""
    variables = environment(job)
    os.environ["HF_DATASETS_CACHE"] = variables["HF_DATASETS_CACHE"]
    if job["tokenized"]:
        prepare(job["tokenized"])
    command = [sys.executable, *job["arguments"]]
    if checkpoint is not None:
        command += [part.replace("CHECKPOINT", str(checkpoint)) for part in job["resume"]]
    if job.get("processor") and not has_accelerator():
        command += job["processor"]
    with Path("log.txt").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - what the run's file says
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop(process))
        output = process.stdout.fileno() if process.stdout else 0
        while block := os.read(output, 1 << 16):
            log.write(block)
            log.flush()
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.buffer.write(block)
                sys.stdout.buffer.flush()
        return process.wait()


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the trainer with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def end_with_parent() -> None:
    """Have the kernel kill the trainer when this process is gone (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def read_receipt() -> dict[str, Any]:
    """Return how the last attempt ended; nothing where there was none.  One that was killed says nothing."""
    try:
        found = json.loads(Path("receipt.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def device() -> str:
    """Return what was trained on, by the drivers that are there: importing torch again takes long."""
    if sys.platform == "darwin":
        return "mps" if os.uname().machine == "arm64" else "cpu"
    driven = any(Path(place).exists() for place in ("/proc/driver/nvidia/version", "/dev/kfd"))
    return "cuda" if driven and os.environ.get("CUDA_VISIBLE_DEVICES") != "" else "cpu"


def has_accelerator() -> bool:
    """Say whether torch sees one, of any kind; where this cannot be told, the trainer is left to itself."""
    asked = "import torch; print(torch.accelerator.is_available())"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)  # noqa: S603
    return said.stdout.strip() != "False"


def write_receipt(job: dict[str, Any], status: str, **more: object) -> None:
    """Write how it stands; the file appears whole."""
    versions = {}
    for package in job["packages"]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    facts = {"key": job["key"], "tool": job["tool"], "status": status, "files": job["files"]}
    facts |= {"versions": versions, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **more}
    partial = Path(f"receipt.{os.getpid()}.partial")
    partial.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    partial.replace("receipt.json")


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    raise SystemExit(main(place.resolve()))
