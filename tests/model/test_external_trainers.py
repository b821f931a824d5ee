"""Other trainers: what they are told is what our own trainer does, and what they leave is held against it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from assay import model
from assay.core import AssayError, Message, Sample
from assay.model.external import _job
from assay.model.external._settings import row_order, schedule, warms_late

SCRIPTED = Path(__file__).parent.parent / "scripted"
REAL = {
    "trl": "ASSAY_TRL_PYTHON",
    "llamafactory": "ASSAY_LLAMAFACTORY_PYTHON",
    "ms-swift": "ASSAY_MSSWIFT_PYTHON",
}
PARSERS = {
    "trl": """
from trl import ModelConfig, ScriptArguments, SFTConfig, TrlParser
read = TrlParser((ScriptArguments, SFTConfig, ModelConfig)).parse_args_and_config
told = lambda place: {k: v for part in read(["--config", place]) for k, v in vars(part).items()}
""",
    "llamafactory": """
import yaml
from llamafactory.hparams import get_train_args
read = lambda place: get_train_args(yaml.safe_load(open(place)))
told = lambda place: {k: v for part in read(place) for k, v in vars(part).items()}
""",
}
"""How each tool's own parser reads its settings."""
N = 24
SAMPLES = [
    Sample(
        messages=(
            Message("user", f"Say {word} {n} times. 请说“{word}”。"),
            Message("assistant", f"{word} " * (n % 9 + 1)),
        ),
        origin=f"made:{n}",
    )
    for n, word in enumerate(["blue", "蓝色", "seven", "天空", "a longer answer"] * 6)
]

recipes = st.builds(
    model.Recipe,
    batch_size=st.integers(1, 9),
    epochs=st.integers(1, 3),
    schedule=st.sampled_from(["constant", "wsd", "cosine"]),
    warmup_steps=st.integers(0, 6),
    cooldown=st.sampled_from([0.1, 0.2, 0.5, 1.0]),
    learning_rate=st.just(1e-3),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> model.TokenTable:
    folder = tmp_path_factory.mktemp("tokens")
    tokenizer = model.load_tokenizer(model.resolve_base(model.POCKET))
    model.write_tokens(tokenizer, SAMPLES, folder, 96)
    return model.TokenTable(folder)


def _recipe(**changes: Any) -> model.Recipe:
    own = {"batch_size": 4, "warmup_steps": 0, "max_tokens": 96, "micro_tokens": 512, "trainer": "trl"}
    return model.preset("pocket", **{**own, **changes})


def _train(
    table: model.TokenTable, out: Path, recipe: model.Recipe | None = None, **more: Any
) -> model.TrainReport:
    recipe = recipe or _recipe()
    order = np.random.default_rng(0).permutation(len(table))
    segment = model.Segment(recipe, 0, N, 0, recipe.steps(N))
    out.mkdir(parents=True, exist_ok=True)
    advance = more.pop("advance", lambda done, total, unit: None)
    return model.trainer(recipe.trainer, model.Launch(), **more)(
        segment, base=model.resolve_base(model.POCKET), state=None, table=table, order=order, out=out,
        device="cpu", advance=advance,
    )  # fmt: skip


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Start the scripted trainer in TRL's place; ``scripted("fail")`` says what goes wrong."""
    monkeypatch.setenv("PYTHONPATH", f"{SCRIPTED}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("ASSAY_TRL_PYTHON", sys.executable)
    monkeypatch.delenv("SCRIPTED", raising=False)
    return lambda wrong: monkeypatch.setenv("SCRIPTED", wrong)


@given(recipes, st.integers(1, 40), st.integers(0, 3))
def test_rows_are_in_the_order_of_our_own_batches(recipe: model.Recipe, n: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(50)
    rows = row_order(recipe, order, n, seed)
    run = model.ExternalRun(recipe, seed, n, 10)
    assert len(rows) == run.rows == recipe.epochs * n
    assert rows[:n].tolist() == order[:n].tolist()
    for epoch in range(recipe.epochs):
        assert sorted(rows[epoch * n : (epoch + 1) * n]) == sorted(order[:n])
    if n % recipe.batch_size == 0 or recipe.epochs == 1:
        assert run.steps == recipe.steps(n)
        for step in range(run.steps):
            batch = rows[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            assert batch.tolist() == recipe.batch(order, n, seed, step).tolist()


@given(recipes, st.integers(2, 60))
def test_the_learning_rate_is_that_of_our_own_schedule(recipe: model.Recipe, n: int) -> None:
    """By transformers itself: to the bit of a float, but for the warm-up where it is said to be late."""
    import torch
    from transformers import get_scheduler

    run = model.ExternalRun(recipe, 0, n, 10)
    told = schedule(run)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.learning_rate)
    made = get_scheduler(
        told["lr_scheduler_type"], optimizer, told.get("warmup_steps", 0), run.steps,
        scheduler_specific_kwargs=told.get("lr_scheduler_kwargs"),
    )  # fmt: skip
    size = n if recipe.epochs == 1 else recipe.epochs * n
    own = recipe if recipe.epochs == 1 else model.Recipe(**{**asdict(recipe), "epochs": 1})
    for step in range(run.steps):
        wanted = own.learning_rate_at(step, size)
        if not (warms_late(recipe) and step < recipe.warmup_steps):
            assert made.get_last_lr()[0] == pytest.approx(wanted, rel=1e-9, abs=1e-18), step
        else:
            assert made.get_last_lr()[0] <= wanted
        optimizer.step()
        made.step()


@given(st.integers(1, 256), st.integers(1, 8), st.integers(1, 4096), st.integers(1, 4096))
def test_the_batch_stays_that_of_the_recipe(size: int, processes: int, longest: int, limit: int) -> None:
    recipe = model.Recipe(batch_size=size * processes, micro_tokens=limit)
    run = model.ExternalRun(recipe, 0, 10, longest, processes)
    assert run.per_device * run.accumulation * processes == recipe.batch_size
    assert run.per_device == 1 or run.per_device * longest <= limit


def test_a_batch_that_processes_cannot_share_is_refused() -> None:
    with pytest.raises(AssayError, match="cannot be spread evenly"):
        model.ExternalRun(model.Recipe(batch_size=10), 0, 10, 10, processes=4)


@pytest.mark.parametrize("tool", sorted(model.EXTERNAL))
def test_settings_say_what_the_recipe_says(tool: str) -> None:
    recipe = _recipe(adapter="dora", rank=4, alpha=12, gradient_checkpointing=True, trainer=tool)
    told = model.EXTERNAL[tool].config(model.ExternalRun(recipe, 7, N, 96))
    assert yaml.safe_load(yaml.safe_dump(told)) == told
    values = set(map(str, told.values()))
    assert {"7", "4", "12", str(recipe.learning_rate), "adamw_torch_fused"} <= values
    assert any("dora" in name and value is True for name, value in told.items())


@pytest.mark.parametrize("tool", sorted(model.EXTERNAL))
def test_packed_batches_are_refused(tool: str) -> None:
    with pytest.raises(AssayError, match="has no equal of this setting") as caught:
        model.trainer_identity(_recipe(batching="packed", trainer=tool))
    assert caught.value.place == "recipe.batching"


def test_trainers_tell_nobody_of_a_run() -> None:
    variables = _job.environment({"processes": 1, "threads": 1})
    names = ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "AXOLOTL_DO_NOT_TRACK")
    assert [variables[name] for name in names] == ["1", "1", "1"]


def test_only_whole_runs_are_trained(scripted: Any, table: model.TokenTable, tmp_path: Path) -> None:
    assert model.shared_steps(_recipe(trainer="full"), N) > 0
    assert model.shared_steps(_recipe(), N) == 0
    recipe = _recipe()
    with pytest.raises(AssayError, match="trains whole runs alone"):
        model.trainer("trl")(
            model.Segment(recipe, 0, N, 0, 2), base=model.resolve_base(model.POCKET), state=None, table=table,
            order=np.arange(len(table)), out=tmp_path, device="cpu", advance=lambda *_: None,
        )  # fmt: skip


def test_a_run_leaves_a_model_and_a_report(scripted: Any, table: model.TokenTable, tmp_path: Path) -> None:
    told: list[float] = []
    report = _train(table, tmp_path, advance=lambda done, total, unit: told.append(done))
    assert report.steps == 6 == told[-1] and report.samples == N
    assert [step for step, _ in report.trace] == list(range(6))
    assert 0 < report.learned_tokens <= report.tokens <= report.padded_tokens
    network, tokenizer = model.load_model(tmp_path / "model"), model.load_tokenizer(tmp_path / "model")
    assert model.reference_loss(network, tokenizer, SAMPLES[:1])[0] is not None
    assert json.loads((tmp_path / "receipt.json").read_text())["status"] == "finished"


def test_the_rows_are_the_tokens_and_masks_of_our_own_trainer(
    scripted: Any, table: model.TokenTable, tmp_path: Path
) -> None:
    _train(table, tmp_path)
    order = np.random.default_rng(0).permutation(len(table))
    lines = (tmp_path / "scratch/run/data/train.jsonl").read_text().splitlines()
    for row, line in zip(order[:N], map(json.loads, lines), strict=True):
        ids, learned = table.row(int(row))
        assert line["input_ids"] == ids.tolist()
        assert [label >= 0 for label in line["labels"][1:]] == learned[1:].tolist()
        assert all(label in (-100, i) for label, i in zip(line["labels"], line["input_ids"], strict=True))


@pytest.mark.parametrize(
    ("wrong", "problem", "hint"),
    [
        ("fail", "TRL ended with status 1", "run the same command"),
        ("memory", "TRL: memory ran out", "recipe.micro_tokens"),
        ("short", "another number of steps", "run it again"),
    ],
)
def test_a_failure_says_where_and_what_to_do(
    wrong: str, problem: str, hint: str, scripted: Any, table: model.TokenTable, tmp_path: Path
) -> None:
    scripted(wrong)
    with pytest.raises(AssayError, match=problem) as caught:
        _train(table, tmp_path)
    assert hint in str(caught.value.hint) and caught.value.value and caught.value.place
    assert not (tmp_path / "model").exists()
    scripted("")
    assert _train(table, tmp_path).steps == 6


def test_a_killed_run_goes_on_and_ends_in_the_same_weights(
    scripted: Any, table: model.TokenTable, tmp_path: Path
) -> None:
    _train(table, tmp_path / "whole")
    scripted("kill")
    with pytest.raises(AssayError, match="was killed by signal 9"):
        _train(table, tmp_path / "killed")
    _train(table, tmp_path / "killed")
    weights = [(tmp_path / n / "model/model.safetensors").read_bytes() for n in ("whole", "killed")]
    assert weights[0] == weights[1]
    assert json.loads((tmp_path / "killed/receipt.json").read_text())["resumed"] == "checkpoint-2"


def test_a_checkpoint_that_a_kill_has_cut_is_put_aside(
    scripted: Any, table: model.TokenTable, tmp_path: Path
) -> None:
    scripted("kill")
    with pytest.raises(AssayError):
        _train(table, tmp_path)
    cut = tmp_path / "scratch/run/out/checkpoint-4"
    cut.mkdir()
    (cut / "model.safetensors").write_bytes(b"half")
    assert _train(table, tmp_path).steps == 6
    assert json.loads((tmp_path / "receipt.json").read_text())["resumed"] == "checkpoint-2"


def test_a_trainer_ends_with_who_started_it(scripted: Any, table: model.TokenTable, tmp_path: Path) -> None:
    """Killed without a chance to say goodbye: nothing trains on."""
    scripted("wait")
    child = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_external_trainers as t\n"
        "from pathlib import Path; from assay import model\n"
        "t._train(model.TokenTable(Path(sys.argv[2])), Path(sys.argv[3]))"
    )
    arguments = [str(Path(__file__).parent), str(table.folder), str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-c", child, *arguments])
    waiting = tmp_path / "scratch/run/waiting"
    while not waiting.exists() or not waiting.read_text():
        assert process.poll() is None, "it ended before the trainer was there"
        time.sleep(0.1)
    trainer = int(waiting.read_text())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(100):
        if not _alive(trainer):
            return
        time.sleep(0.1)
    raise AssertionError("the trainer outlived the process that started it")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_environment_is_a_clear_error(
    table: model.TokenTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_AXOLOTL_PYTHON", raising=False)
    with pytest.raises(AssayError, match="axolotl is not installed here") as caught:
        _train(table, tmp_path, _recipe(trainer="axolotl"))
    assert "ASSAY_AXOLOTL_PYTHON" in str(caught.value.expected) and "handoff" in str(caught.value.hint)
    with pytest.raises(AssayError, match="no such python") as caught:
        _train(table, tmp_path, environment="/nowhere")
    assert caught.value.place == "where.environment"


@pytest.mark.parametrize("tool", sorted(REAL))
def test_the_real_trainers_learn_what_ours_learns(tool: str, table: model.TokenTable, tmp_path: Path) -> None:
    """Batch by batch: the same rows in the same order, the same loss, to the rounding of fp32."""
    if not os.environ.get(REAL[tool]):
        pytest.skip(f"no environment with {tool}: name its python by {REAL[tool]}")
    still = {"schedule": "constant", "warmup_steps": 3, "epochs": 2}
    own = _train(table, tmp_path / "own", _recipe(trainer="full", **still))
    other = _train(table, tmp_path / "other", _recipe(trainer=tool, **still))
    assert [s for s, _ in other.trace] == [s for s, _ in own.trace]
    assert [v for _, v in other.trace] == pytest.approx([v for _, v in own.trace], abs=2e-3)
    assert other.tokens == own.tokens and other.learned_tokens == own.learned_tokens


def _python(tool: str) -> str:
    if not os.environ.get(REAL[tool]):
        pytest.skip(f"no environment with {tool}: name its python by {REAL[tool]}")
    return os.environ[REAL[tool]]


KINDS = [
    pytest.param({"adapter": adapter, "dtype": dtype}, id=f"{adapter}-{dtype}")
    for adapter, dtype in (
        ("none", "fp32"), ("none", "bf16"), ("lora", "fp32"), ("lora", "bf16"), ("dora", "fp32"),
        ("qlora", "bf16"),
    )
]  # fmt: skip


@pytest.mark.parametrize("tool", sorted(PARSERS))
def test_the_real_parsers_read_what_the_recipe_says(tool: str, tmp_path: Path) -> None:
    python, names = _python(tool), []
    for kind in KINDS:
        (changes,) = kind.values
        run = model.ExternalRun(_recipe(trainer=tool, rank=4, alpha=12, **changes), 7, N, 96)
        told = {**model.EXTERNAL[tool].config(run), "output_dir": str(tmp_path / "out"), "use_cpu": True}
        names.append(str(tmp_path / f"{kind.id}.yaml"))
        Path(names[-1]).write_text(yaml.safe_dump(told))
    ask = "import json, sys\nfor place in sys.argv[1:]: print('TOLD', json.dumps(told(place), default=str))"
    said = subprocess.run(
        [python, "-c", f"{PARSERS[tool]}\n{ask}", *names], capture_output=True, text=True, check=False
    )
    found = [json.loads(line[5:]) for line in said.stdout.splitlines() if line.startswith("TOLD ")]
    assert len(found) == len(KINDS), said.stderr[-2000:]
    for kind, read in zip(KINDS, found, strict=True):
        (changes,) = kind.values
        assert read["seed"] == 7 and read["learning_rate"] == _recipe().learning_rate, kind.id
        assert read["bf16"] is (changes["dtype"] == "bf16") and not read["fp16"], kind.id
        if changes["adapter"] != "none":
            names = ("lora_r", "lora_alpha") if tool == "trl" else ("lora_rank", "lora_alpha")
            assert [read[name] for name in names] == [4, 12], kind.id
        assert read["use_dora"] is (changes["adapter"] == "dora"), kind.id
        four = read["load_in_4bit"] if tool == "trl" else read["quantization_bit"] == 4
        assert four is (changes["adapter"] == "qlora"), kind.id


@pytest.mark.parametrize("changes", [kind for kind in KINDS if kind.id not in ("none-fp32", "qlora-bf16")])
@pytest.mark.parametrize("tool", sorted(REAL))
def test_the_real_trainers_train_adapters_and_in_bf16(
    tool: str, changes: dict[str, Any], table: model.TokenTable, tmp_path: Path
) -> None:
    """Every loss is ours in fp32, the first in bf16, which each rounds by itself; a model comes back."""
    _python(tool)
    recipe = {"schedule": "constant", "learning_rate": 2e-3, "epochs": 2, **changes}
    own = _train(table, tmp_path / "own", _recipe(trainer="full", **recipe))
    other = _train(table, tmp_path / "other", _recipe(trainer=tool, **recipe))
    frozen = any(note.key == "note.external.frozen" for note in other.notes)
    assert frozen is (tool == "llamafactory" and changes["adapter"] != "none" and changes["dtype"] == "fp32")
    rounded = frozen or changes["dtype"] == "bf16"
    steps = slice(0, 1 if rounded else None)
    assert other.steps == own.steps and len(other.trace) == other.steps
    losses = [[loss for _, loss in report.trace[steps]] for report in (own, other)]
    assert losses[1] == pytest.approx(losses[0], abs=0.05 if rounded else 2e-3)
    assert other.trace[-1][1] == pytest.approx(own.trace[-1][1], rel=0.1)
    base = model.resolve_base(model.POCKET)
    nats = []
    for folder in (tmp_path / "own/model", tmp_path / "other/model"):
        network = model.load_model(folder, base=None if changes["adapter"] == "none" else base)
        found = model.reference_loss(network, model.load_tokenizer(folder), SAMPLES[:1])[0]
        assert found is not None
        nats.append(found.nats)
    assert nats[1] == pytest.approx(nats[0], rel=0.2)
