"""Interface text of forecasts before the first run: (English, Chinese)."""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
TEXTS: Mapping[str, tuple[str, str]] = {
    "forecast.title": ("Assay: forecast before the first run", "Assay：训练前的预测"),
    "forecast.eyebrow": ("Forecast", "预测"),
    "forecast.headline.none": ("Nothing can be forecast from these samples", "无法从这些样本做出预测"),
    "forecast.headline.order": ("{type:@type} has the gradients that agree least; what that means for this base model is not known", "{type:@type}的梯度最不一致；这对该基座模型意味着什么尚不清楚"),
    "forecast.headline.fitted": ("{type:@type} is forecast to need most data", "预测{type:@type}最需要数据"),
    "forecast.lead": ("Types by how alike the gradients of their hardest samples are (median cosine), the least alike first. In the published tasks such types needed most data. No coefficients for this base model, so no sizes: `assay forecast fit` takes them from your finished studies or a pilot, and tests whether the order holds. A prior for choosing rungs, never a verdict.", "按各类型最难样本的梯度相似程度（余弦中位数）排序，最不相似的在前。在论文的任务中，这类类型最需要数据。该基座模型没有系数，因此不给出样本数：`assay forecast fit` 可从已完成的研究或试点中得到系数，并检验该顺序是否成立。这只是选择档位的先验，不是结论。"),
    "forecast.lead.fitted": ("Coefficients: {place}. Types that the fit has not seen are forecast with an error of {error:.2f} in the area under the data-efficiency curve; the possible gain counts as reached at {largest:,} samples. A prior for choosing rungs, never a verdict.", "系数来自 {place}。对拟合中未出现的类型，数据效率曲线下面积的预测误差为 {error:.2f}；按 {largest:,} 条样本时达到全部可能收益计。这只是选择档位的先验，不是结论。"),
    "forecast.rungs": ("Rungs that cover a quarter of the fastest type's gain to nine tenths of the slowest type's: {rungs:,}", "覆盖最快类型四分之一收益到最慢类型九成收益的档位：{rungs:,}"),
    "forecast.col.samples": ("Samples", "样本数"),
    "forecast.col.cosine": ("Gradients agree (cosine)", "梯度一致性（余弦）"),
    "forecast.col.area": ("Area", "曲线下面积"),
    "forecast.col.half": ("Half of the gain at", "达到一半收益的样本数"),
    "forecast.col.measured": ("Area, measured", "实测面积"),
    "forecast.col.foretold": ("Area, forecast from the other types", "由其他类型预测的面积"),
    "forecast.cost": ("Cost: {answers:,} answers (at most {answer_tokens:,} tokens forward), and {drawn:,} forward and backward passes ({gradient_tokens:,} tokens).", "开销：生成 {answers:,} 个回答（前向至多 {answer_tokens:,} 个词元），以及 {drawn:,} 次前向与反向传播（{gradient_tokens:,} 个词元）。"),
    "forecast.poor": ("On the types of the fit the forecast was not shown to be better than chance: take nothing from this order", "在拟合所用的类型上，该预测未被证明优于随机：不要依据此顺序做决定"),
    "forecast.outside": ("Gradients beyond those of the fit, where the line is a guess: {types:@type}", "梯度一致性超出拟合范围、直线仅为推测的类型：{types:@type}"),
    "forecast.other": ("Coefficients of another base model, which are not known to carry over: used with {used}, fitted on {fitted}", "系数来自另一基座模型，不保证适用：用于 {used}，拟合于 {fitted}"),
    "forecast.fit": ("{n} types with {base}: area = {slope:+.2f} × cosine {intercept:+.2f}. A type is forecast from the others with an error of {error:.3f}; areas differ with an sd of {spread:.3f}.", "{base}，{n} 个类型：面积 = {slope:+.2f} × 余弦 {intercept:+.2f}。由其他类型预测某一类型的误差为 {error:.3f}；面积之间的标准差为 {spread:.3f}。"),
    "forecast.fit.rank": ("Rank correlation of cosines with measured areas: {value:+.2f} {interval:+.2f} (90 %)", "余弦与实测面积的秩相关：{value:+.2f} {interval:+.2f}（90 %）"),
    "forecast.fit.poor": ("Not shown to forecast anything: on these types gradients that agree more did not go with less data (the interval holds 0 or less).", "尚未证明有预测力：在这些类型上，梯度更一致并不对应所需数据更少（区间包含 0 或负值）。"),
    "forecast.fit.left_out": ("Left out, without an area or comparable gradients: {types:@type}", "因没有面积或可比较的梯度而略去：{types:@type}"),
}  # fmt: skip
