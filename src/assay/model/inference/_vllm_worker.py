"""Answers a file of prompts with vLLM; run by the python of vLLM's environment, where Assay is not installed.

    python _vllm_worker.py JOB.json

The job: ``model`` (folder), ``dtype``, ``length`` (tokens of the longest prompt with its answer), ``seed`` or
null, ``sampling`` (arguments of SamplingParams), ``prompts`` (lists of [number, token ids, most tokens to
write]) and ``answers``, the file to which a line {"number", "ids"} is added as each answer ends.  Exit status
3: vLLM cannot be imported.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(place: str) -> int:
    """Answer all prompts of the job."""
    job = json.loads(Path(place).read_text(encoding="utf-8"))
    # The engine in this process: one of its own would outlive a kill, with the GPU.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    try:
        from vllm import EngineArgs, LLMEngine, SamplingParams  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        print(error, file=sys.stderr)
        return 3
    engine = LLMEngine.from_engine_args(
        EngineArgs(
            model=job["model"],
            dtype=job["dtype"],
            max_model_len=job["length"],
            # Token ids go in and come out: texts are Assay's own affair, on both sides.
            skip_tokenizer_init=True,
            disable_log_stats=True,
        )
    )
    seed = job["seed"]
    for number, ids, most in job["prompts"]:
        own = {} if seed is None else {"seed": seed + number}
        # The end marks of the job alone end an answer, not those of the model's generation_config.json.
        sampling = SamplingParams(
            **job["sampling"], **own, max_tokens=most, ignore_eos=True, detokenize=False
        )
        engine.add_request(str(number), {"prompt_token_ids": ids}, sampling)
    with Path(job["answers"]).open("a", encoding="utf-8") as answers:
        while engine.has_unfinished_requests():
            for request in engine.step():
                if request.finished:
                    row = {"number": int(request.request_id), "ids": list(request.outputs[0].token_ids)}
                    answers.write(json.dumps(row) + "\n")
                    answers.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
