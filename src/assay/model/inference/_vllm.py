"""Answers by vLLM, as a process of its own in an environment of its own.

vLLM pins its torch, so it is not installed beside Assay: ``where.vllm`` or the environment variable
``ASSAY_VLLM_PYTHON`` names the python of its environment.  Prompts are handed over as the token ids that
transformers would get, and token ids come back.  Which of the two answered is part of a step's identity: vLLM
computes in bf16, transformers in fp32, and sampled answers are other draws.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import AssayError, Sample, end_with_parent, read_json
from assay.data import replacing_text
from assay.model.base import ADAPTER, load_tokenizer, merge
from assay.model.tokens import AUTO, encode_prompts, stop_ids

if TYPE_CHECKING:
    from assay.model.inference._evaluate import Answer, Decoding

VARIABLE = "ASSAY_VLLM_PYTHON"
_WORKER = Path(__file__).with_name("_vllm_worker.py")
_POLL_SECONDS = 0.2
_NO_VLLM = 3


def vllm_python(named: str | None) -> str | None:
    """Return the python of vLLM's environment: as named, else by the environment variable; None without."""
    found = named or os.environ.get(VARIABLE)
    if found is None:
        return None
    place = shutil.which(found)
    if place is None:
        raise AssayError(
            "no such python",
            place="where.vllm" if named else VARIABLE,
            value=found,
            expected="the python of an environment that has vLLM, such as /opt/vllm/bin/python",
        )
    return place


def vllm_answer(
    python: str,
    folder: Path,
    items: Sequence[Sample],
    decoding: Decoding,
    scratch: Path,
    *,
    base: Path | None = None,
    template: str | None = None,
    advance: Callable[[float, float, str], None] = lambda done, total, unit: None,
) -> list[Answer]:
    """Generate one answer for each item's prompt, in item order, with the model of ``folder``.

    An adapter is merged into its ``base`` first.  ``scratch`` holds the job and the answers so far: what an
    earlier attempt finished is not asked for again.  Raises :class:`AssayError` where vLLM is missing or
    fails.
    """
    from assay.model.inference._evaluate import finish

    _free_gpu()
    tokenizer = load_tokenizer(folder, template)
    stops = stop_ids(tokenizer)
    prompts = encode_prompts(tokenizer, [item.prompt for item in items])
    scratch.mkdir(parents=True, exist_ok=True)
    answers = scratch / "answers.jsonl"
    found = _answered(answers)
    if len(found) < len(items):
        job = _job(_whole(folder, base, scratch, template), prompts, stops, decoding, answers, set(found))
        with replacing_text(scratch / "job.json") as file:
            json.dump(job, file)
        _run(python, scratch, len(items), advance)
        found = _answered(answers)
    missing = [item.id for number, item in enumerate(items) if number not in found]
    if missing:
        raise AssayError(
            "vLLM left prompts without an answer", place=str(answers), value=", ".join(missing[:3])
        )
    return [finish(tokenizer, stops, item, found[number]) for number, item in enumerate(items)]


def _free_gpu() -> None:
    """Give back what this process still holds of the GPU, which vLLM wants nearly all of."""
    import gc

    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _whole(folder: Path, base: Path | None, scratch: Path, template: str | None) -> Path:
    """Return a folder that holds all weights: the model's own, or its adapter merged into its base."""
    if not (folder / ADAPTER).exists():
        return folder
    whole = scratch / "merged"
    if not (whole / "done").exists():
        merge(folder, whole, base=base, template=template or AUTO)
        (whole / "done").touch()
    return whole


def _job(
    folder: Path,
    prompts: Sequence[Sequence[int]],
    stops: Sequence[int],
    decoding: Decoding,
    answers: Path,
    done: set[int],
) -> dict[str, Any]:
    """Return what the worker reads: the prompts without an answer, each with the room it has to write."""
    config = read_json(folder / "config.json")
    longest = max(map(len, prompts)) + decoding.max_new_tokens
    length = min(longest, config.get("max_position_embeddings") or longest)
    sampled = decoding.temperature > 0
    return {
        "model": str(folder.resolve()),
        "dtype": "bfloat16",
        "length": length,
        "seed": decoding.seed * 1_000_003 if sampled else None,
        "sampling": {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "stop_token_ids": list(stops),
        },
        "prompts": [
            [number, list(ids), max(1, min(decoding.max_new_tokens, length - len(ids)))]
            for number, ids in enumerate(prompts)
            if number not in done
        ],
        "answers": str(answers.resolve()),
    }


def _run(python: str, scratch: Path, total: int, advance: Callable[[float, float, str], None]) -> None:
    """Run the worker to its end; raise what it ended with."""
    log, answers = scratch / "vllm.log", scratch / "answers.jsonl"
    if answers.exists():  # a line that a kill has cut must not run into the next
        with replacing_text(answers) as file:
            file.writelines(
                json.dumps({"number": n, "ids": ids}) + "\n" for n, ids in _answered(answers).items()
            )
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the python that the user names
            [python, str(_WORKER), str(scratch / "job.json")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )
    try:
        while process.poll() is None:
            advance(len(_answered(answers)), total, "answer")
            time.sleep(_POLL_SECONDS)
    finally:
        process.kill()
        process.wait()
    if process.returncode == 0:
        return
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing was printed"]
    if process.returncode == _NO_VLLM:
        raise AssayError(
            f"vLLM cannot be imported ({said[-1]})", place=f"where.vllm or {VARIABLE}", value=python,
            expected="the python of an environment that has vLLM",
            hint="leave it out, and transformers answers",
        )  # fmt: skip
    raise AssayError(
        f"vLLM ended with status {process.returncode}: {said[-1]}", place=str(log),
        hint="run it again: it continues after the last answer",
    )  # fmt: skip


def _answered(answers: Path) -> dict[int, list[int]]:
    """Return the answers so far by the number of their prompt; a line that was cut by a kill is none."""
    found = {}
    if answers.exists():
        for line in answers.read_text(encoding="utf-8").split("\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            found[row["number"]] = row["ids"]
    return found
