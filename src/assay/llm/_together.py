"""Together's files and jobs in the words of OpenAI's SDK: one code begins, watches and finds both.

Its jobs carry no metadata: key and attempt stand in the suffix, of which it takes 40 characters, and that
is part of the tuned model's name.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

from assay.core import AssayError

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob

TOGETHER = "together/"
_SHORT = 28
_MARK = re.compile(rf"assay-([0-9a-f]{{{_SHORT}}})-(\d+)")
_STATUS = {"completed": "succeeded", "error": "failed", "user_error": "failed", "cancelled": "cancelled"}


class TogetherClient:
    """The part of OpenAI's client that tuning asks for, answered by Together's."""

    def __init__(self, secret: str, base_url: str | None, timeout: float) -> None:
        """Open it; raise :class:`AssayError` where the SDK is not installed."""
        if find_spec("together") is None:
            raise AssayError("Together's SDK is not installed", place="base", hint="pip install together")
        from together import Together

        # The SDK adds the version of the protocol by itself.
        address = base_url and base_url.rstrip("/").removesuffix("/v1")
        self._sdk = Together(api_key=secret, base_url=address, max_retries=0, timeout=timeout)
        self.files = _Files(self._sdk)
        self.fine_tuning = SimpleNamespace(jobs=_Jobs(self._sdk))

    def close(self) -> None:
        """Close the connections."""
        self._sdk.close()


class _Files:
    def __init__(self, sdk: Any) -> None:
        self._sdk = sdk

    def list(self, **asked: Any) -> Iterable[Any]:
        """Return all files; Together has no pages of them."""
        found: Iterable[Any] = self._sdk.files.list().data
        return found

    def create(self, file: tuple[str, BinaryIO], purpose: str) -> Any:
        """Upload a file under a name, which Together takes from its place."""
        name, handle = file
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / name
            place.symlink_to(Path(handle.name).resolve())
            return self._sdk.files.upload(place, purpose=purpose, check=False)


class _Jobs:
    def __init__(self, sdk: Any) -> None:
        self._sdk = sdk.fine_tuning
        self._metadata: dict[str, dict[str, str]] = {}

    def list(self, metadata: Mapping[str, str], **asked: Any) -> Any:
        """Return the jobs of the key that ``metadata`` names, on one page."""
        ((name, key),) = metadata.items()
        found = []
        for one in self._sdk.list().data:
            mark = _MARK.search(one.suffix or _output(one) or "")
            if mark is not None and mark[1] == key[:_SHORT]:
                self._metadata[one.id] = {name: key, f"{name}_attempt": mark[2]}
                found.append(self._job(one))
        return SimpleNamespace(data=found, has_more=False)

    def create(
        self, *, model: str, training_file: str, seed: int, method: Mapping[str, Any],
        metadata: Mapping[str, str], **others: Any,
    ) -> FineTuningJob:  # fmt: skip
        """Begin a job."""
        key, attempt = metadata.values()
        made = self._sdk.create(
            model=model, training_file=training_file, random_seed=seed,
            suffix=f"assay-{key[:_SHORT]}-{attempt}", train_on_inputs="auto",
            **method["supervised"]["hyperparameters"],
        )  # fmt: skip
        self._metadata[made.id] = dict(metadata)
        return self._job(made)

    def retrieve(self, job: str) -> FineTuningJob:
        """Return a job as it stands."""
        return self._job(self._sdk.retrieve(job))

    def cancel(self, job: str) -> FineTuningJob:
        """Cancel a job and return how it stands."""
        self._sdk.cancel(job)
        return self.retrieve(job)

    def list_events(self, job: str, limit: int) -> Any:
        """Return the latest events, newest first."""
        found = list(self._sdk.list_events(job).data)[::-1][:limit]
        return SimpleNamespace(data=[_event(one) for one in found])

    def _job(self, one: Any) -> FineTuningJob:
        from openai.types.fine_tuning import FineTuningJob

        status = str(getattr(one.status, "value", one.status))
        said = [event.message for event in one.events or () if "error" in str(event.type)]
        return FineTuningJob.model_construct(
            id=one.id, status=_STATUS.get(status, "running"), created_at=one.created_at,
            metadata=self._metadata.get(one.id, {}), fine_tuned_model=_output(one),
            trained_tokens=_tokens(one) if status in _STATUS else None, method=None,
            hyperparameters=SimpleNamespace(batch_size=one.batch_size),
            error=SimpleNamespace(message=said[-1] if said else None, code=status, param=None)
            if _STATUS.get(status) == "failed" else None,
        )  # fmt: skip


def _tokens(job: Any) -> int | None:
    """Return the most that a job trained on: that its count holds every pass is not said, so each counts."""
    return None if job.token_count is None else int(job.token_count) * max(1, job.n_epochs or 1)


def _output(job: Any) -> str | None:
    """Return the name of the tuned model, which unlike answers of the SDK call by unlike names."""
    for name in ("x_model_output_name", "output_name", "model_output_name"):
        if isinstance(found := getattr(job, name, None), str) and found:
            return found
    return None


def _event(one: Any) -> Any:
    told = {"step": one.step, "total_steps": one.total_steps}
    return SimpleNamespace(id=f"{one.created_at} {one.type} {one.step}", data=told)
