"""Interface text of rules tried elsewhere: (English, Chinese)."""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
TEXTS: Mapping[str, tuple[str, str]] = {
    "transfer.title": ("Assay: does {rule} carry over?", "Assay：规则 {rule} 能否迁移"),
    "transfer.headline.carries": ("Rule {rule} carries over to {name}", "规则 {rule} 可迁移到 {name}"),
    "transfer.headline.fails": ("Rule {rule} does not carry over to {name}", "规则 {rule} 不能迁移到 {name}"),
    "transfer.headline.undecided": ("Undecided whether rule {rule} carries over to {name}", "规则 {rule} 能否迁移到 {name} 尚无结论"),
    "transfer.headline.several": ("Rule {rule} on {all} studies: carries over to {carries}, does not to {fails}, undecided {undecided}", "规则 {rule} 在 {all} 个研究上：可迁移 {carries} 个，不能迁移 {fails} 个，尚无结论 {undecided} 个"),
    "transfer.lead": ("A rule carries over where it ranks subsets of the study's own pool by loss (90 % interval above 0) and its selection beats random samples at equal size and tokens. It does not where the selection is no better than random samples, or where the rank correlation is surely below {little:.1f}. Nothing was fitted on the study.", "规则可迁移的条件：能按损失排列该研究自身数据池的子集（90 % 区间大于 0），且所选样本在同样条数与词元数下优于随机样本。若所选样本不优于随机样本，或秩相关确定低于 {little:.1f}，则不能迁移。规则未在该研究上做任何拟合。"),
    "transfer.col.study": ("Study", "研究"),
    "transfer.col.languages": ("Pool, samples by language", "数据池（各语言样本数）"),
    "transfer.col.subsets": ("Subsets", "子集数"),
    "transfer.col.rank": ("Rank correlation", "秩相关"),
    "transfer.col.trial": ("Selection against random samples", "所选样本与随机样本相比"),
    "transfer.word.carries": ("carries over", "可迁移"),
    "transfer.word.fails": ("does not carry over", "不能迁移"),
    "transfer.word.undecided": ("undecided", "尚无结论"),
    "transfer.noise": ("Log loss has an sd of {spread:.4f} between subsets and {noise:.4f} between seeds of one subset. The chart shows places by log loss: predictions for another base model are on a scale of their own.", "对数损失的标准差：子集之间为 {spread:.4f}，同一子集换种子为 {noise:.4f}。图中为按对数损失排列的名次：对其他基座模型的预测没有可比的刻度。"),
}  # fmt: skip
