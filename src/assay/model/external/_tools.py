"""The other trainers by name: how each is told of a run, how it is started, and what it cannot do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.core import AssayError
from assay.model.external._axolotl import axolotl_config
from assay.model.external._llamafactory import TOKENIZED, llamafactory_config
from assay.model.external._settings import ExternalRun, refuse
from assay.model.external._swift import PLUGIN, PLUGIN_TEXT, swift_config, swift_row
from assay.model.external._trl import trl_config
from assay.model.train import Recipe


@dataclass(frozen=True, slots=True)
class Tool:
    """Another trainer.

    ``config`` returns its settings of a run; ``arguments`` are those of its python, ``CONFIG`` being the
    settings' file, ``resume`` what is added to go on from ``CHECKPOINT``, and ``processor`` what it must be
    told to train in bf16 without an accelerator.  ``tokenized``: the folder of the library ``datasets`` that
    rows are turned into first, "" where it reads them as they are.  ``module`` is what its environment must
    be able to import.  ``version`` rises whenever what is written changes.
    """

    name: str
    title: str
    module: str
    packages: tuple[str, ...]
    config: Callable[[ExternalRun], dict[str, Any]]
    arguments: tuple[str, ...]
    resume: tuple[str, ...]
    processor: tuple[str, ...] = ()
    tokenized: str = ""
    row: Callable[[Mapping[str, list[int]]], Mapping[str, Any]] = lambda row: row
    """How it reads a row of ``input_ids``, ``attention_mask`` and ``labels``."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What else it reads, by name in the run's folder."""
    launched: bool = False
    """Whether it starts several processes by itself; else accelerate does."""
    frozen_as_saved: bool = False
    """Whether the frozen base under an adapter keeps the type of its files, whatever it is told."""
    version: int = 1

    @property
    def variable(self) -> str:
        """The environment variable that names the python of its environment."""
        return f"ASSAY_{self.name.upper().replace('-', '')}_PYTHON"


_COMMON = ("torch", "transformers", "accelerate", "peft", "datasets")

EXTERNAL: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "trl", "TRL", "trl", ("trl", *_COMMON), trl_config,
            ("-m", "trl.scripts.sft", "--config", "CONFIG"), ("--resume_from_checkpoint", "CHECKPOINT"),
            processor=("--use_cpu", "true"),
        ),
        Tool(
            "llamafactory", "LLaMA-Factory", "llamafactory", ("llamafactory", "trl", *_COMMON),
            llamafactory_config, ("-m", "llamafactory.cli", "train", "CONFIG"),
            ("resume_from_checkpoint=CHECKPOINT",), processor=("use_cpu=true",), tokenized=TOKENIZED,
            launched=True, frozen_as_saved=True,
        ),
        Tool(
            "axolotl", "axolotl", "axolotl", ("axolotl", *_COMMON), axolotl_config,
            ("-m", "axolotl.cli.train", "CONFIG"), ("--resume-from-checkpoint", "CHECKPOINT"),
        ),
        Tool(
            "ms-swift", "ms-swift", "swift", ("ms-swift", *_COMMON), swift_config,
            ("-m", "swift.cli.main", "sft", "CONFIG"), ("--resume_from_checkpoint", "CHECKPOINT"),
            processor=("--use_cpu", "true"), row=swift_row, files={PLUGIN: PLUGIN_TEXT}, launched=True,
        ),
    )
}  # fmt: skip
"""The other trainers that a study can be trained by, by the name that ``recipe.trainer`` gives."""


def external_identity(tool: Tool, recipe: Recipe) -> str:
    """Return what identifies a trainer beside the recipe: which one, and how it is told of a run.

    The tool's own version is not part of it: it is not known before the run, where that is made elsewhere.
    The report of each training names it.  Raises :class:`AssayError` for what the tool has no equal of.
    """
    if recipe.batching == "packed":
        refuse(tool.title, "batching", "packed", "auto or buckets")
    tool.config(ExternalRun(recipe, 0, recipe.batch_size, recipe.max_tokens))
    return f"{tool.name}, settings {tool.version}"


def start_arguments(tool: Tool, processes: int, config: str) -> list[str]:
    """Return the arguments of the tool's python that train a run."""
    own = [config if part == "CONFIG" else part for part in tool.arguments]
    if processes == 1 or tool.launched:
        return own
    return ["-m", "accelerate.commands.launch", "--num_processes", str(processes), *own]


def external_tool(name: str) -> Tool:
    """Return a trainer by its name; raises :class:`AssayError` for one that is not there."""
    if name not in EXTERNAL:
        raise AssayError(
            "no such trainer", place="--for", value=name, expected=f"one of {', '.join(EXTERNAL)}",
            hint="set recipe.trainer, or give --for",
        )  # fmt: skip
    return EXTERNAL[name]
