"""The scripted provider as Tinker speaks: sessions, numbered requests, futures, protobuf, checkpoints.

A request is known by its model and number: one that comes again is not worked for again.  What is applied to
a model is kept in order, with what each forward and backward pass was paid.  ``dies`` are counts of
optimizer steps, over all models, after which the session of the last one is gone; ``hangs`` are those whose
future never comes.  ``weights`` makes the model itself; :class:`Weights` only remembers.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tinker.proto import tinker_public_pb2 as wire
from tune_server import Provider

HURRIED = ("tinker.lib.api_future_impl.asyncio", "tinker.lib.internal_client_holder.asyncio")
"""Where the SDK waits whole seconds after faults: put a :class:`Hurried` there."""
Row = tuple[list[int], list[int], list[float]]
"""Ids, targets and weights of a sample."""
_GONE = (410, {"error": {"message": "the session is gone"}})


class Hurried:
    """asyncio, in which a second is a fiftieth of it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 50)


class Weights:
    """A model in training that learns nothing; its answer is the number of its steps and the end mark."""

    def __init__(self, lora: Mapping[str, Any]) -> None:
        self.lora, self.log, self.open = dict(lora), list[tuple[str, float]](), list[str]()

    def copy(self) -> Weights:
        made = type(self)(self.lora)
        made.log = list(self.log)
        return made

    def gradient(self, rows: Sequence[Row]) -> list[list[float]]:
        self.open.append(of_rows(rows))
        return [[-1.0 / (1 + len(self.log))] * len(ids) for ids, _, _ in rows]

    def step(self, params: Mapping[str, float]) -> None:
        (batch,) = self.open
        self.log.append((batch, params["learning_rate"]))
        self.open.clear()

    def score(self, ids: Sequence[int]) -> list[float]:
        return [float("nan")] + [-1.0 / (1 + len(self.log))] * (len(ids) - 1)

    def write(self, ids: Sequence[int], params: Mapping[str, Any]) -> list[int]:
        return [len(self.log), *params["stop"][:1]]


def batch(word: str, step: int) -> tuple[list[Any], float]:
    """Return two samples whose ids tell run and step, of four learned tokens, and a rate."""
    own = sum(place * byte for place, byte in enumerate(word.encode(), 1))
    rows = [(np.array([own, step, 3, 4]), np.array([False, False, True, True]))]
    rows.append((np.array([own, step, 5]), np.array([False, True, True])))
    return rows, 0.1 / (1 + step)


def expected(word: str, steps: int) -> list[tuple[str, float]]:
    """Return what a model must have learned of the batches of a word, in order."""
    plain = [batch(word, step) for step in range(steps)]
    return [
        (of_rows([(ids[:-1].tolist(), ids[1:].tolist(), []) for ids, _ in rows]), rate)
        for rows, rate in plain
    ]


def of_rows(rows: Sequence[Row]) -> str:
    """Return what stands for a batch, in the order of its samples."""
    plain = [[list(map(int, ids)), list(map(int, targets))] for ids, targets, _ in rows]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:12]


@dataclass
class TinkerProvider(Provider):
    """The provider of :mod:`tune_server` with Tinker's paths; see above."""

    weights: Callable[[Mapping[str, Any]], Weights] = Weights
    dies: tuple[int, ...] = ()
    hangs: tuple[int, ...] = ()
    paid: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    steps: int = 0
    sampled: Counter[str] = field(default_factory=Counter)
    sessions: dict[str, bool] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    futures: dict[str, Any] = field(default_factory=dict)
    shelf: dict[str, dict[str, Any]] = field(default_factory=dict)
    born: dict[str, float] = field(default_factory=dict)
    stored: dict[str, Weights] = field(default_factory=dict)
    samplers: dict[str, Any] = field(default_factory=dict)

    def billed(self) -> int:
        return self.tokens

    def reply(self, method: str, path: str, query: Mapping[str, list[str]], raw: bytes) -> tuple[Any, ...]:
        parts = path.strip("/").split("/")
        assert parts[:2] == ["api", "v1"], path
        self.asked[parts[2]] += 1
        if parts[2] == "forward_backward":
            return self._forward_backward(raw)
        if parts[2] == "sessions":
            self.sessions[parts[3]] = False
            return 200, {}
        if parts[2] == "samplers":
            return 200, {"sampler_id": parts[3], "base_model": self.samplers[parts[3]]["base"]}
        if parts[2] == "checkpoints":
            return 200, self._checkpoints(int(query["offset"][0]), int(query["limit"][0]))
        body = json.loads(raw or b"{}")
        found: tuple[Any, ...] = getattr(self, f"_{'_'.join(parts[2:])}", self._nothing)(body)
        return found

    def _nothing(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        return 200, {"status": "ok"}

    def _client_config(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        return 200, {}

    _client_dynamic_config = _client_config

    def _create_session(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        made = f"session-{len(self.sessions)}"
        self.sessions[made] = True
        return 200, {"session_id": made}

    def _session_heartbeat(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        return (200, {}) if self.sessions[body["session_id"]] else _GONE

    def _create_model(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        if "no such" in body["base_model"]:
            return 400, {"error": {"message": "no such base model"}}

        def work(name: str) -> Any:
            told = body["user_metadata"]
            self.models[name] = {"base": body["base_model"], "told": told, "seq": 0,
                                 "weights": self.weights(body["lora_config"])}  # fmt: skip
            return {"model_id": name}

        return self._made(body, work)

    def _load_weights(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        assert body["optimizer"] is True

        def work(name: str) -> Any:
            held = self.stored[body["path"]]
            self.models[name] = {"base": "base", "told": body["user_metadata"], "seq": 0,
                                 "weights": held.copy()}  # fmt: skip
            return {"model_id": name, "path": body["path"]}

        return self._made(body, work)

    def _made(self, body: Mapping[str, Any], work: Callable[[str], Any]) -> tuple[int, Any]:
        name = f"{body['session_id']}:train:{body['model_seq_id']}"
        return self._future(body["session_id"], f"{name}:0", lambda: work(name))

    def _get_info(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        held = self.models[body["model_id"]]
        return 200, {
            "model_id": body["model_id"],
            "is_lora": True,
            "model_data": {"model_name": held["base"]},
        }

    def _future(self, session: str, request: str, work: Callable[[], Any], **more: Any) -> tuple[int, Any]:
        """Do the work of a request, unless it came before: then its future is as it was."""
        if not self.sessions[session]:
            return _GONE
        if request not in self.futures:
            self.futures[request] = {"looks": 0, "result": work()}
        return 200, {"request_id": request, **more}

    def _of_model(self, model: str, seq: int, work: Callable[[Any], Any]) -> tuple[int, Any]:
        held = self.models[model]

        def next_one() -> Any:
            assert seq == held["seq"] + 1, f"request {seq} after {held['seq']}"
            held["seq"] = seq
            return work(held)

        return self._future(model.split(":")[0], f"{model}:{seq}", next_one)

    def _forward_backward(self, raw: bytes) -> tuple[int, Any]:
        asked = wire.ForwardBackwardRequest()
        asked.ParseFromString(raw)
        assert asked.loss_fn == "cross_entropy" and not asked.forward_only
        rows = [_row(datum) for datum in asked.data]

        def work(held: Any) -> bytes:
            self.paid[of_rows(rows)] += 1
            self.tokens += sum(len(ids) for ids, _, _ in rows)
            return _gradient(held["weights"].gradient(rows))

        return self._of_model(asked.model_id, asked.seq_id, work)

    def _optim_step(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        def work(held: Any) -> Any:
            held["weights"].step(body["adam_params"])
            self.steps += 1
            if self.steps in self.dies:
                self.met["died"] += 1
                self.sessions[body["model_id"].split(":")[0]] = False
            if self.steps in self.hangs:
                self.met["hung"] += 1
                return None
            return {"metrics": {}}

        return self._of_model(body["model_id"], body["seq_id"], work)

    def _save_weights(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        return self._shelved(body, "weights", "training")

    def _save_weights_for_sampler(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        return self._shelved(body, "sampler_weights", "sampler")

    def _shelved(self, body: Mapping[str, Any], folder: str, kind: str) -> tuple[int, Any]:
        path = f"tinker://{body['model_id']}/{folder}/{body['path']}"

        def work(held: Any) -> Any:
            self.stored[path] = held["weights"].copy()
            self.born[path] = time.monotonic()
            self.shelf[path] = {
                "checkpoint_id": f"{folder}/{body['path']}", "checkpoint_type": kind, "tinker_path": path,
                "time": "2026-01-01T00:00:00Z", "user_metadata": body["user_metadata"],
            }  # fmt: skip
            return {"path": path}

        return self._of_model(body["model_id"], body["seq_id"], work)

    def _checkpoints(self, offset: int, limit: int) -> dict[str, Any]:
        """Return a page of what is on the list by now, newest first."""
        page, until = min(limit, self.page), time.monotonic() - self.lag
        rows = [one for path, one in self.shelf.items() if self.born[path] <= until][::-1]
        cursor = {"offset": offset, "limit": page, "total_count": len(rows)}
        return {"checkpoints": rows[offset : offset + page], "cursor": cursor}

    def _create_sampling_session(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        if not self.sessions[body["session_id"]]:
            return _GONE
        name = f"{body['session_id']}:sample:{body['sampling_session_seq_id']}"
        path = body.get("model_path")
        held = self.weights({"rank": 1}) if path is None else self.stored[path]
        self.samplers[name] = {"base": body.get("base_model") or "base", "weights": held, "path": path}
        return 200, {"sampling_session_id": name}

    def _asample(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        name = body["sampling_session_id"]
        held, params = self.samplers[name], body["sampling_params"]
        ids = [token for chunk in body["prompt"]["chunks"] for token in chunk["tokens"]]

        def work() -> bytes:
            scored = body.get("prompt_logprobs") or False
            self.sampled[json.dumps([held["path"], scored, ids])] += 1
            self.tokens += len(ids)
            weights, said = held["weights"], wire.SampleResponse()
            written = weights.write(ids, {"stop": [0], **params})[: params["max_tokens"]]
            self.tokens += len(written)
            one = said.sequences.add()
            one.tokens = np.array(written, np.int32).tobytes()
            ended = written[-1] in (params.get("stop") or [0])
            one.stop_reason = wire.STOP_REASON_STOP if ended else wire.STOP_REASON_LENGTH
            if scored:
                last = np.array(weights.score(ids), np.float32)
                last[: -body["prompt_logprobs_last_n"]] = np.nan
                said.prompt_logprobs = last.tobytes()
            return said.SerializeToString()

        request = f"{name}:{body['seq_id']}"
        return self._future(name.split(":")[0], request, work, sample_sequence_ids=[f"{request}:0"])

    def _retrieve_future(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Return a result at the second look; one that hangs at none."""
        request = body["request_id"]
        if not self.sessions[request.split(":")[0]]:
            return _GONE
        held = self.futures[request]
        held["looks"] += 1
        if held["result"] is None or held["looks"] == 1:
            time.sleep(0.002)
            return 200, {"type": "try_again", "request_id": request, "queue_state": "active"}
        return 200, held["result"]


def _row(datum: Any) -> Row:
    ids = [
        t for chunk in datum.model_input for t in np.frombuffer(chunk.encoded_text.tokens, np.int32).tolist()
    ]
    given = datum.loss_fn_inputs
    assert given["target_tokens"].dtype == wire.DTYPE_INT64 and given["weights"].dtype == wire.DTYPE_FLOAT32
    targets = np.frombuffer(given["target_tokens"].dense, np.int64).tolist()
    weights = np.frombuffer(given["weights"].dense, np.float32).tolist()
    assert len(ids) == len(targets) == len(weights) and ids[1:] == targets[:-1]
    return ids, targets, weights


def _gradient(logprobs: Sequence[Sequence[float]]) -> bytes:
    """Return log-probabilities of every target as the SDK reads them."""
    said = wire.ForwardBackwardOutput(loss_fn_output_type="ArrayRecord")
    record = said.loss_fn_outputs.add()
    record.num_datums = len(logprobs)
    held = record.fields["logprobs"]
    held.dtype = wire.DTYPE_FLOAT32
    held.data = np.concatenate([np.asarray(one, np.float32) for one in logprobs]).tobytes()
    held.offsets = np.cumsum([0, *(4 * len(one) for one in logprobs)]).astype(np.int64).tobytes()
    return said.SerializeToString()
