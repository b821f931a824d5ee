"""The files of a launch are what accelerate and DeepSpeed themselves read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.core import AssayError
from assay.model import Launch, Segment, preset
from assay.model.launch._accelerate import command
from assay.model.launch._job import ACCELERATE, DEEPSPEED, layer_classes, write_job
from assay.model.launch._launch import smaller

ACCELERATE_MISSING = "accelerate is not installed"


def written(folder: Path, launch: Launch, base: Path, **changes: Any) -> Path:
    segment = Segment(preset("belle", **changes), 0, 100, 0, 4)
    paths = {"base": str(base), "state": None, "tokens": "t", "out": str(folder), "device": "cpu"}
    write_job(folder, launch, segment, np.arange(100), **paths)
    return folder


@pytest.mark.parametrize(
    ("family", "layers"),
    [("llama", ["LlamaDecoderLayer"]), ("bloom", ["BloomBlock"]), ("neox", ["GPTNeoXLayer"])],
)
def test_accelerate_reads_fsdp_with_the_models_layers(
    family: str, layers: list[str], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    config_args = pytest.importorskip("accelerate.commands.config.config_args", reason=ACCELERATE_MISSING)
    assert layer_classes(tiny(family)) == layers
    folder = written(tmp_path, Launch(8, offload=True), tiny(family), dtype="bf16")
    config = config_args.load_config_from_file(str(folder / ACCELERATE))
    assert (config.distributed_type, config.num_processes, config.mixed_precision) == ("FSDP", 8, "bf16")
    assert config.fsdp_config["fsdp_version"] == 2
    assert config.fsdp_config["fsdp_offload_params"] is True
    assert config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"].split(",") == layers


@pytest.mark.parametrize(("strategy", "stage"), [("zero2", 2), ("zero3", 3)])
def test_deepspeed_reads_its_file(
    strategy: Any, stage: int, tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    runtime = pytest.importorskip("deepspeed.runtime.config", reason="deepspeed is not installed")
    config_args = pytest.importorskip("accelerate.commands.config.config_args", reason=ACCELERATE_MISSING)
    folder = written(tmp_path, Launch(4, strategy, offload=True), tiny("llama"), dtype="bf16", clip_norm=0.5)
    accelerate = config_args.load_config_from_file(str(folder / ACCELERATE))
    place = accelerate.deepspeed_config["deepspeed_config_file"]
    assert (accelerate.distributed_type, place) == ("DEEPSPEED", str(folder / DEEPSPEED))
    config = runtime.DeepSpeedConfig(place)
    assert config.zero_optimization_stage == stage
    assert config.bfloat16_config.enabled
    assert config.gradient_clipping == 0.5
    assert config.zero_config.offload_optimizer.device == "cpu"
    # A process sees 16 of the batch of 64.
    assert config.train_micro_batch_size_per_gpu == 16


def test_accelerate_reads_the_command_of_another_machine(tiny: Callable[..., Path], tmp_path: Path) -> None:
    launching = pytest.importorskip("accelerate.commands.launch", reason=ACCELERATE_MISSING)
    folder = written(tmp_path, Launch(16, machines=2, address="node0", port=2345), tiny("llama"))
    words = command(folder, machine=1)
    arguments, _, _ = launching._validate_launch_command(
        launching.launch_command_parser().parse_args(words[3:])
    )
    found = (arguments.num_processes, arguments.num_machines, arguments.machine_rank)
    assert (*found, arguments.main_process_ip, arguments.main_process_port) == (16, 2, 1, "node0", 2345)
    assert (arguments.training_script, arguments.use_fsdp) == ("assay.model.launch._worker", True)
    assert json.loads(Path(arguments.training_script_args[0]).read_text())["segment"]["n_train"] == 100


@pytest.mark.parametrize("wrong", [{"processes": 0}, {"processes": 3, "machines": 2}, {"machines": 2}])
def test_a_launch_that_cannot_be_started_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(AssayError) as caught:
        Launch(**{"processes": 4, **wrong})  # type: ignore[arg-type]
    assert str(caught.value.place).startswith("where.launch")


def test_memory_that_runs_out_halves_the_micro_batches_down_to_one_sample() -> None:
    segment = Segment(preset("belle", micro_tokens=2048), 0, 100, 0, 4)
    sizes = []
    for _ in range(3):
        segment, note = smaller(segment, longest=300, rank=1)
        sizes.append(segment.recipe.micro_tokens)
        assert sizes[-1] in note.values.values()
    assert sizes == [1024, 512, 300]
    with pytest.raises(AssayError, match="single sample") as caught:
        smaller(segment, longest=300, rank=1)
    assert caught.value.place == "process 1"
