"""Interface text of imported runs: (English, Chinese)."""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
TEXTS: Mapping[str, tuple[str, str]] = {
    "fact.tools": ("Runs from", "运行来自"),
    "missing.cost.imported": ("The tool that made this run did not say.", "产生该运行的工具没有给出。"),
    "summary.imported": ("{models:,} models, read from {tools}", "{models:,} 个模型，读取自 {tools}"),
    "import.head": ("{models:,} models, {points:,} points", "{models:,} 个模型，{points:,} 个数据点"),
    "import.runs": ("Runs", "运行"),
    "import.run": ("Run", "运行"),
    "import.tools": ("Read from", "来源"),
    "import.metrics": ("Metrics", "指标数"),
    "import.errors": ("Errors", "误差"),
    "import.errors.items": ("paired by item", "按题配对"),
    "import.errors.none": ("as the tool says", "以工具所给为准"),
    "file.report": ("report", "报告"),
    "import.unusable": ("{run} is left out: {reason} ({place})", "未计入 {run}：{reason}（{place}）"),
    "import.unfinished": ("it stopped at step {done:,} of {of:,}", "它停在第 {done:,} 步（共 {of:,} 步）"),
    "import.inspect.status": ("the evaluation did not succeed, its status is {status}", "评测未成功，状态为 {status}"),
    "import.mlflow.status": ("the run's status is {status}", "该运行的状态为 {status}"),
    "import.wandb.state": ("the run's state is {state}", "该运行的状态为 {state}"),
    "import.wandb.offline": ("a .wandb file is W&B's own log: run `wandb sync` on it, or export the run as CSV", ".wandb 文件是 W&B 的内部日志：请对它运行 `wandb sync`，或将该运行导出为 CSV"),
    "import.unknown.size": ("{run} is left out: its training size is not known ({place})", "未计入 {run}：训练样本数未知（{place}）"),
    "import.unknown.row": ("The table of runs names {run}; no run that was read takes this row", "运行表中的 {run} 没有对应的运行，这一行未被采用"),
    "import.note.early": ("Last measured at step {step:,} of {end:,}: the learning rate had not run down yet.", "最后一次测量在第 {step:,} 步（共 {end:,} 步）：学习率尚未降到终点。"),
    "import.note.checkpoints": ("{n:,} checkpoints inside {runs:,} runs are left out: where the learning rate has not run down yet, a model is not one trained on less data.", "未计入 {runs:,} 个运行途中的 {n:,} 个检查点：学习率尚未降到终点时，模型不等同于用更少数据训练的模型。"),
    "import.note.checkpoint": ("{run}: only checkpoints were measured; the last one, of step {step:,}, stands for the run.", "{run}：只测量了检查点；以最后一个（第 {step:,} 步）代表该运行。"),
    "import.note.apart": ("Runs of {arm} differ in {settings} at one size; each recipe is an arm of its own.", "{arm} 的运行在同一规模上 {settings} 不同，已分为各自的方案。"),
    "import.note.with_size": ("{setting} goes with the size ({values}): what looks like the worth of data is also that of this setting.", "{setting} 随规模变化（{values}）：看似数据带来的收益，也包含这项设置的影响。"),
    "import.note.seeds": ("Of {n} runs nothing tells the seed; they are numbered by name.", "有 {n} 个运行未给出种子，已按名称编号。"),
    "import.note.later": ("{run}: {n} results were measured again; the later ones are taken.", "{run}：有 {n} 项结果被重新测量，取较晚的一次。"),
    "import.note.implied": ("{run} is named as a run on {n:,} samples; by the trainer's own speed it trained on {found:,}. Rows may have been dropped for their length.", "{run} 标称 {n:,} 条样本；按训练器记录的速度推算，实际训练了 {found:,} 条。可能有样本因过长而被丢弃。"),
    "import.note.nan": ("{run}: {names} ended as no number, which is what a training that diverged leaves; no earlier value is taken.", "{run}：{names} 最后不是数字，通常是训练发散所致；不取更早的值。"),
    "import.note.metrics": ("Also there, not imported (`--metric`): {names}", "另有未导入的指标（`--metric`）：{names}"),
    "import.note.no_items": ("{task}: {n} of {of} models have no values by item, so errors are not paired.", "{task}：{of} 个模型中有 {n} 个没有逐题分数，误差未按题配对。"),
    "import.note.common": ("{task}: not all models were measured on the same items; means are over the {n:,} of {of:,} that all have.", "{task}：各模型的评测题不尽相同；均值只取共有的 {n:,} 道（共 {of:,} 道）。"),
    "import.note.setups": ("{task} was not measured in one way for all models: {setups}", "{task} 的测量方式并不一致：{setups}"),
    "import.note.no_overall": ("No overall {metric:@metric}: {reason}", "没有总体{metric:@metric}：{reason}"),
    "import.overall.scale": ("the metrics of the tasks are not all shares between 0 and 1", "各任务的指标并非都是 0 到 1 之间的比例"),
    "import.overall.metrics": ("the tasks are measured by different metrics", "各任务用的指标不同"),
    "import.overall.lacking": ("not every model was measured on every task", "并非每个模型都测了每个任务"),
}
