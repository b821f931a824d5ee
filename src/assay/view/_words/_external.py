"""Interface text of runs that other trainers make: (English, Chinese)."""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
TEXTS: Mapping[str, tuple[str, str]] = {
    "note.external": ("Trained by {tool} ({versions})", "由 {tool} 训练（{versions}）"),
    "note.external.passes": ("{tool} took {steps:,} steps instead of {own:,}: the passes follow each other without a short batch between them.", "{tool} 走了 {steps:,} 步而不是 {own:,} 步：各轮数据首尾相接，轮与轮之间没有不满的批次。"),
    "note.external.frozen": ("{tool} holds the frozen base in the type of its files ({saved}), not in that of the recipe ({dtype}).", "{tool} 按文件中的数据类型（{saved}）加载被冻结的基座权重，而不是配方中的类型（{dtype}）。"),
    "note.external.warmup": ("With {tool} the first step of the warm-up has a learning rate of 0; with Assay's own trainer it has a part of the rate.", "{tool} 预热的第一步学习率为 0；Assay 自带的训练器在这一步已有部分学习率。"),
    "note.hosted": ("{base} is fine-tuned and asked at its provider: answers alone are measured; losses, plain text, the control slice and the recipe check are left out. Samples are sent to the provider, which keeps file and model until you delete them.", "{base} 在其服务商处微调和作答：只测量模型回答，不含损失、纯文本、对照样本和配方检查。样本会发送给服务商，文件和模型由其保存，直到你删除。"),
    "note.tinker": ("{base} is trained and asked at Tinker, by the recipe of this study and in its order; plain text, the control slice and the recipe check are left out. Token ids of the samples are sent to Tinker, which keeps the models until you delete them.", "{base} 在 Tinker 上按本研究的配方和顺序训练并作答；不含纯文本、对照样本和配方检查。样本以词元编号的形式发送给 Tinker，模型由其保存，直到你删除。"),
    "note.hosted.again": ("The provider failed before; this is job {attempts:,}", "服务商此前失败过；这是第 {attempts:,} 个任务"),
    "handoff.head": ("{runs:,} runs written for {tool}; {kept:,} more are in the store already", "已为 {tool} 写出 {runs:,} 个训练任务；另有 {kept:,} 个已在存储中"),
    "handoff.next": ("Train them with run-all.sh, slurm.sh or the tasks in sky/, with PYTHON set to the trainer's python; then `assay study collect` with the same study file and {folder}", "用 run-all.sh、slurm.sh 或 sky/ 中的任务训练（PYTHON 设为训练器环境的 python）；完成后用同一研究文件和 {folder} 运行 `assay study collect`"),
    "handoff.nothing": ("Nothing is left to train: `assay study run` goes on", "没有需要训练的任务：直接运行 `assay study run` 即可"),
    "handoff.base": ("The base model is not in the folder: name its place by ASSAY_BASE where the runs are trained", "文件夹中不含基座模型：训练时用 ASSAY_BASE 指明其位置"),
    "handoff.check": ("The recipe check before a ladder is left out: it would train here", "省略阶梯前的配方检查：它需要在本机训练"),
    "handoff.steps": ("Steps", "步数"),
    "handoff.state": ("State", "状态"),
    "handed.written": ("written", "已写出"),
    "handed.kept": ("in the store", "已在存储中"),
    "handed.taken": ("taken", "已收回"),
    "handed.open": ("open", "未完成"),
    "handed.refused": ("refused", "未接受"),
    "collect.head": ("{tool}: {taken:,} runs taken, {kept:,} in the store already, {open:,} open, {refused:,} refused", "{tool}：收回 {taken:,} 个，{kept:,} 个已在存储中，{open:,} 个未完成，{refused:,} 个未接受"),
    "collect.missing": ("{run}: {reason}", "{run}：{reason}"),
    "collect.unknown": ("{runs:,} runs of the folder are none of this study: its data, recipe, rungs or seeds have changed since", "文件夹中有 {runs:,} 个任务不属于这项研究：其数据、配方、阶梯或种子此后有改动"),
    "collect.not_handed": ("it was not handed over: `assay study handoff` again writes what is missing", "未曾交出：再次运行 `assay study handoff` 可补写"),
    "collect.no_folder": ("its folder {folder} is not there: copy it back", "缺少文件夹 {folder}：请将其复制回来"),
}
