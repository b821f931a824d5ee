"""Two CPU processes over gloo train the weights of one."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from assay.core import AssayError, Sample
from assay.model import Launch, Recipe, Segment, TokenTable, load_tokenizer, preset, trainer, write_tokens
from assay.model.launch._job import write_job
from assay.model.launch._launch import failure, first_error
from assay.model.launch._worker import work
from assay.model.train import _train as implementation

pytestmark = pytest.mark.timeout(300)
pytest.importorskip("accelerate", reason="accelerate is not installed")

N = 24
# Without clipping a gradient of the wrong size would show beside moments of the right one.
RECIPE = preset("pocket", batch_size=8, warmup_steps=1, max_tokens=64, micro_tokens=128, clip_norm=1e6)
CLIPPED = replace(RECIPE, clip_norm=0.1)


@pytest.fixture(scope="module")
def table_of(
    tiny: Callable[..., Path], samples: list[Sample], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], TokenTable]:
    def make(family: str) -> TokenTable:
        folder = tmp_path_factory.mktemp("tokens")
        write_tokens(load_tokenizer(tiny(family)), samples, folder, max_tokens=64)
        return TokenTable(folder)

    return make


def order_of(table: TokenTable) -> Any:
    return np.random.default_rng(3).permutation(len(table))


def run(
    base: Path,
    table: TokenTable,
    out: Path,
    *,
    launch: Launch = Launch(),  # noqa: B008
    recipe: Recipe = RECIPE,
    start: int = 0,
    stop: int = 3,
    state: Path | None = None,
    **more: Any,
) -> Any:
    out.mkdir(exist_ok=True)
    return trainer("full", launch)(
        Segment(recipe, 1, N, start, stop), base=base, state=state, table=table, order=order_of(table),
        out=out, device="cpu", **{"advance": lambda done, total, unit: None, **more},
    )  # fmt: skip


def weights(out: Path) -> dict[str, torch.Tensor]:
    name = (
        "model.safetensors" if (out / "model" / "model.safetensors").exists() else "adapter_model.safetensors"
    )
    return load_file(out / "model" / name)


def same(one: Path, two: Path, base: Path) -> bool:
    """Say whether two trainings of a base moved it alike: they differ by a thousandth of the way at most.

    Single weights may differ by more: Adam makes a whole step of a gradient that is nothing but rounding, as
    that of BLOOM's key biases is.
    """
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    start = load_file(base / "model.safetensors")
    moved = sum(float((a[name] - start.get(name, 0)).square().sum()) for name in a if "lora_A" not in name)
    apart = sum(float((a[name] - b[name]).square().sum()) for name in a)
    return moved > 0 and apart < 1e-6 * moved


@pytest.fixture(scope="module")
def llama(
    tiny: Callable[..., Path], table_of: Callable[[str], TokenTable], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TokenTable, Path]:
    """A Llama, its data, and what one process makes of them."""
    table, out = table_of("llama"), tmp_path_factory.mktemp("alone")
    run(tiny("llama"), table, out)
    return tiny("llama"), table, out


@pytest.fixture(scope="module")
def trunk(llama: tuple[Path, TokenTable, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state after two steps on two processes by FSDP2."""
    base, table, _ = llama
    out = tmp_path_factory.mktemp("trunk")
    run(base, table, out, launch=Launch(2), stop=2)
    return out / "state"


@pytest.mark.long
def test_a_branch_on_one_process_goes_on_from_a_trunk_on_two(
    llama: tuple[Path, TokenTable, Path], trunk: Path, tmp_path: Path
) -> None:
    base, table, alone = llama
    ranks = {path.name.split("-")[1] for path in trunk.glob("*.safetensors")}
    assert ranks == {"00000of00002", "00001of00002"}
    run(base, table, tmp_path / "branch", state=trunk, start=2)
    assert same(alone, tmp_path / "branch", base)


@pytest.mark.long
def test_zero2_on_two_machines_goes_on_from_a_trunk_of_fsdp(
    llama: tuple[Path, TokenTable, Path], trunk: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """This machine twice, each with one process; the second runs the command that the first prints."""
    pytest.importorskip("deepspeed", reason="deepspeed is not installed")
    base, table, alone = llama
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = Launch(2, "zero2", machines=2, address="127.0.0.1", port=port)
    other: list[subprocess.Popen[bytes]] = []

    def start_the_other() -> None:
        deadline, said = time.monotonic() + 120, ""
        while "run:\n" not in said and time.monotonic() < deadline:
            time.sleep(0.05)
            said += capfd.readouterr().err
        if "run:\n" not in said:
            return
        line = said.split("run:\n")[1].splitlines()[0]
        other.append(
            subprocess.Popen(shlex.split(line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    thread = threading.Thread(target=start_the_other)
    thread.start()
    try:
        run(base, table, tmp_path / "branch", launch=launch, state=trunk, start=2)
    finally:
        thread.join()
        for process in other:
            process.wait(timeout=60)
    assert same(alone, tmp_path / "branch", base)


@pytest.mark.long
def test_zero3_goes_on_from_a_trunk_on_one_process(
    tiny: Callable[..., Path], table_of: Callable[[str], TokenTable], tmp_path: Path
) -> None:
    pytest.importorskip("deepspeed", reason="deepspeed is not installed")
    base, table = tiny("bloom"), table_of("bloom")
    alone = run(base, table, tmp_path / "alone", recipe=CLIPPED)
    run(base, table, tmp_path / "trunk", recipe=CLIPPED, stop=1)
    seen: list[tuple[float, float, str]] = []
    report = run(
        base, table, tmp_path / "branch", launch=Launch(2, "zero3"), state=tmp_path / "trunk" / "state",
        start=1, recipe=CLIPPED, advance=lambda *progress: seen.append(progress),
    )  # fmt: skip
    assert same(tmp_path / "alone", tmp_path / "branch", base)
    assert report.trace == tuple(
        (step, pytest.approx(loss, rel=1e-5)) for step, loss in alone.trace if step >= 1
    )
    assert seen[-1][:2] == (2, 2) and seen[-1][2].startswith(f"loss {report.trace[-1][1]:.3g}, ")
    names = [{p.name for p in (tmp_path / out / "model").iterdir()} for out in ("alone", "branch")]
    assert names[0] == names[1]


@pytest.mark.long
def test_fsdp_trains_an_adapter_with_checkpointing_and_offload(
    tiny: Callable[..., Path], table_of: Callable[[str], TokenTable], tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="peft is not installed")
    base, table = tiny("bloom"), table_of("bloom")
    recipe = replace(CLIPPED, adapter="lora", rank=4, gradient_checkpointing=True)
    run(base, table, tmp_path / "alone", recipe=recipe)
    run(base, table, tmp_path / "both", recipe=recipe, launch=Launch(2, offload=True))
    assert same(tmp_path / "alone", tmp_path / "both", base)


def interrupted(base: Path, table: TokenTable, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave in ``out`` what a run on one process leaves that was stopped after its first step."""

    def advance(done: float, total: float, unit: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(implementation, "SAVE_EVERY_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(base, table, out, advance=advance)
    monkeypatch.undo()


@pytest.mark.long
def test_a_killed_process_is_named_and_a_run_on_ray_goes_on_from_the_last_state(
    llama: tuple[Path, TokenTable, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, table, alone = llama
    out = tmp_path / "out"
    interrupted(base, table, out, monkeypatch)
    killer = threading.Thread(target=kill_second_process, args=[out / "scratch" / "launch" / "job.json"])
    killer.start()
    with pytest.raises(AssayError, match="process 1 of 2 was killed") as caught:
        run(base, table, out, launch=Launch(2))
    killer.join()
    assert "run again" in str(caught.value)
    pytest.importorskip("ray", reason="ray is not installed")
    report = run(base, table, out, launch=Launch(2, through="ray"))
    assert [step for step, _ in report.trace] == [0, 1, 2]
    assert same(alone, out, base)


def kill_second_process(job: Path) -> None:
    """Kill -9 the process of rank 1 of a job as soon as there is one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "cmdline").read_bytes().split(b"\0")
                rank = b"RANK=1\0" in (place / "environ").read_bytes()
            except OSError:
                continue
            if rank and os.fsencode(job) in words and b"assay.model.launch._worker" in words:
                os.kill(int(place.name), signal.SIGKILL)
                return
        time.sleep(0.05)


@pytest.mark.long
def test_processes_end_with_the_one_that_started_them(
    llama: tuple[Path, TokenTable, Path], tmp_path: Path
) -> None:
    """An interrupted launch leaves no process behind."""
    base, table, _ = llama
    job = os.fsencode(tmp_path / "out" / "scratch" / "launch" / "job.json")

    def alive() -> list[int]:
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if job in (place / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(place.name))
        return found

    over, seen = threading.Event(), []

    def interrupt() -> None:
        deadline = time.monotonic() + 120
        while len(alive()) < 3 and time.monotonic() < deadline and not over.is_set():
            time.sleep(0.05)
        if not over.is_set():
            seen.append(len(alive()))
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(base, table, tmp_path / "out", launch=Launch(2))
    finally:
        over.set()
        thread.join()
    assert seen
    assert seen[0] >= 3
    deadline = time.monotonic() + 10
    while alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive() == []


def test_an_error_in_a_process_is_raised_with_its_rank(
    llama: tuple[Path, TokenTable, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, table, _ = llama
    segment = Segment(replace(RECIPE, adapter="qlora"), 1, N, 0, 3)
    launch = Launch(2)
    write_job(
        tmp_path, launch, segment, order_of(table), base=str(base), state=None, tokens=str(table.folder),
        out=str(tmp_path), device="cpu",
    )  # fmt: skip
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(AssayError):
        work(tmp_path / "job.json")
    error = first_error(tmp_path)
    assert error is not None
    raised = failure(tmp_path, launch, error)
    assert raised.place == "recipe.adapter, process 1 of 2"
    assert raised.value == "qlora"
