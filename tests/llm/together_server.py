"""The scripted provider as Together speaks: files by a redirect, jobs without metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tune_server import Provider

_STATUS = {"validating_files": "pending", "succeeded": "completed", "failed": "error"}
_LIMITS = {
    "default_gradient_accumulation_steps": 1, "max_learning_rate": 1.0, "max_num_checkpoints": 10,
    "max_num_epochs": 20, "max_num_evals": 10, "max_seq_length_dpo": 4096, "max_seq_length_sft": 4096,
    "merge_output_lora": True, "min_learning_rate": 0.0, "min_max_seq_length": 1, "model_name": "m",
    "supports_full_training": False, "supports_reasoning": False, "supports_tools": False,
    "supports_vision": False,
    "lora_training": {"default_rank": 8, "max_batch_size": 64, "max_batch_size_dpo": 8, "max_rank": 64,
                      "min_batch_size": 1, "target_modules": ["q"]},
}  # fmt: skip
_PRICE = {"estimation_available": False, "allowed_to_proceed": True}


class TogetherProvider(Provider):
    """The provider of :mod:`tune_server` with Together's paths and fields."""

    def reply(self, method: str, path: str, query: Mapping[str, list[str]], raw: bytes) -> tuple[Any, ...]:
        parts = path.removeprefix("/v1/").strip("/").split("/")
        self.asked[f"{method} {parts[0]}"] += 1
        if parts[0] in ("files", "upload"):
            return self._file(method, parts, raw)
        if parts[0] == "chat":
            return 200, self._chat(json.loads(raw))
        if parts[0] != "fine-tunes":
            return 404, {"error": {"message": f"no such page: {path}"}}
        return 200, self._tunes(method, parts[1:], raw)

    def _tunes(self, method: str, parts: list[str], raw: bytes) -> Any:
        if parts == ["models", "limits"]:
            return _LIMITS
        if parts == ["estimate-price"]:
            return _PRICE
        if not parts:
            return self._told(self._begin(json.loads(raw))) if method == "POST" else self._every()
        job = self.jobs[parts[0]]
        if parts[1:] == ["events"]:
            return {"data": self._events(job)}
        if parts[1:] == ["cancel"]:
            job |= {"status": "cancelled", "billed": 7, "trained_tokens": 7}
        return self._told(job if parts[1:] else self.look(job))

    def _begin(self, body: dict[str, Any]) -> dict[str, Any]:
        mark = re.fullmatch(r"assay-([0-9a-f]{28})-(\d+)", body["suffix"])
        assert mark is not None and len(body["suffix"]) <= 40, body["suffix"]
        supervised = {"hyperparameters": {"n_epochs": body["n_epochs"], "rate": body["learning_rate"]}}
        return self.create(
            {**body, "seed": body["random_seed"], "method": {"supervised": supervised},
             "metadata": {"assay": mark[1], "assay_attempt": mark[2]}}
        )  # fmt: skip

    def _every(self) -> dict[str, Any]:
        """Return what is on the list by now: all on one page."""
        return {"data": [self._told(job) for job in self._list_rows()]}

    def _list_rows(self) -> list[dict[str, Any]]:
        page, self.page = self.page, 10**6
        rows: list[dict[str, Any]] = self._list({})["data"]
        self.page = page
        return rows

    def _told(self, job: dict[str, Any]) -> dict[str, Any]:
        marks = job["metadata"]
        suffix = f"assay-{marks['assay']}-{marks['assay_attempt']}"
        name = f"owner/{job['model'].rpartition('/')[2]}-{suffix}-{job['id'][-4:]}"
        stamp = f"2026-01-01T00:00:{job['created_at'] % 60:02}Z"
        epochs = job["hyperparameters"]["n_epochs"]
        tokens = None if job["trained_tokens"] is None else -(-job["trained_tokens"] // epochs)
        return {
            "id": job["id"], "status": _STATUS.get(job["status"], job["status"]), "created_at": stamp,
            "updated_at": stamp, "user_id": "u", "model": job["model"], "suffix": suffix,
            "model_output_name": name, "adapter_output_name": name, "n_epochs": epochs, "batch_size": 8,
            "training_file": job["training_file"], "token_count": tokens, "events": self._events(job),
        }  # fmt: skip

    def _events(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        found = [
            {"object": "fine-tune-event", "created_at": str(one["created_at"]), "message": "step",
             "type": "epoch_complete", "step": one["data"]["step"], "total_steps": 4}
            for one in job["events"]
        ]  # fmt: skip
        if job["error"]:
            found.append({"object": "fine-tune-event", "created_at": "9", "type": "job_error",
                          "message": job["error"]["message"]})  # fmt: skip
        return found

    def _file(self, method: str, parts: list[str], raw: bytes) -> tuple[Any, ...]:
        if method == "PUT":
            held = self.files[parts[1]]
            held |= {"text": raw.decode(), "bytes": len(raw)}
            return 200, {}
        if method == "GET":
            return 200, {"data": [self._shown(one) for one in self.files.values() if "text" in one]}
        if parts[2:] == ["preprocess"]:
            return 200, self._shown(self.files[parts[1]])
        name = re.search(rb"assay-[0-9a-f]{64}\.jsonl", raw)
        assert name is not None
        number = f"file-{len(self.files):04}"
        self.files[number] = {"id": number, "filename": name[0].decode(), "bytes": 0, "created_at": 1,
                              "purpose": "fine-tune"}  # fmt: skip
        place = self.url.removesuffix("/v1")
        return 302, {}, {"Location": f"{place}/upload/{number}", "X-Together-File-Id": number}

    @staticmethod
    def _shown(file: Mapping[str, Any]) -> dict[str, Any]:
        plain = {name: value for name, value in file.items() if name != "text"}
        return {**plain, "FileType": "jsonl", "object": "file", "processing_status": "COMPLETED"}
