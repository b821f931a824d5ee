"""Interface text of what training forgets: (English, Chinese)."""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
TEXTS: Mapping[str, tuple[str, str]] = {
    "text.en": ("English", "英文"),
    "text.zh": ("Chinese", "中文"),
    "text.unknown": ("unknown", "未知"),
    "col.text": ("Text", "文本"),
    "col.loss_rise": ("Rise of the loss", "损失上升"),
    "col.within": ("P(within limit)", "不超限的概率"),
    "forgetting.heading": ("What training forgets", "训练遗忘了什么"),
    "forgetting.intro": ("How far the loss on plain text rose above that of the untrained model, in nats per token. Each paragraph is its own baseline; intervals {errors}. This never enters overall.", "纯文本上的损失比训练前的模型高出多少（nat/词元）。每个段落都以自身为基线；区间{errors}。这一项不计入总体。"),
    "forgetting.errors.runs": ("contain the error of paragraphs and of runs", "包含段落误差和不同种子间的误差"),
    "forgetting.errors.none": ("contain the error of paragraphs alone, since one seed per size says nothing of the noise between runs", "只包含段落误差：每个规模只有一个种子，无法得知不同运行间的误差"),
    "forgetting.next": ("{text:@text}, {arm:@arm}: the next doubling would change it by {gain:+.3f} {interval:+.3f}", "{text:@text}，{arm:@arm}：数据再翻一倍，预计变化 {gain:+.3f} {interval:+.3f}"),
    "says.price": ("Since before training, {n} samples moved the {metric} by {gain} and the loss on plain text by {rises}.", "与训练前相比，{n} 条样本使{metric}变化 {gain}，纯文本损失变化 {rises}。"),
    "says.rise": ("{rise} {interval} ({text})", "{rise} {interval}（{text}）"),
    "says.within": ("Up to {n} samples the loss on plain text rises by at most {largest}, with probability 0.9.", "不超过 {n} 条时，纯文本损失上升不超过 {largest} 的概率至少为 0.9。"),
    "says.within.none": ("No rung keeps the rise of the loss on plain text within {largest} with probability 0.9.", "没有任何规模能以 0.9 的概率把纯文本损失的上升控制在 {largest} 以内。"),
    "says.too_dear": ("{n} samples would be enough, but they forget more than you allow; up to {allowed} stay within it.", "{n} 条本已足够，但遗忘超出了允许的范围；不超过 {allowed} 条时仍在范围内。"),
    "col.task": ("Task", "任务"),
    "col.before": ("Before training", "训练前"),
    "col.change": ("Change", "变化"),
    "abilities.heading": ("Abilities beside the task", "其他能力"),
    "abilities.intro": ("How far the scores of watched tasks moved from those of the untrained model; positive is better. Each item is its own baseline; intervals {errors}. This never enters overall.", "所监测任务的得分相对未训练模型的变化，正值更好。每道评测题以自身为基线；区间{errors}。这些不计入总体。"),
    "abilities.errors.runs": ("contain the error of items and of runs", "包含评测题误差和不同种子间的误差"),
    "abilities.errors.none": ("contain the error of items alone, since one seed per size says nothing of the noise between runs", "只包含评测题误差：每个规模只有一个种子，无法得知不同运行间的噪声"),
    "abilities.next": ("{task}, {arm:@arm}: the next doubling would change it by {gain:+.3f} {interval:+.3f}", "{task}，{arm:@arm}：数据再翻一倍，预计变化 {gain:+.3f} {interval:+.3f}"),
    "question.largest_loss": ("largest rise of the loss on plain text", "纯文本损失允许的最大上升"),
}
