"""The one catalogue of interface text, by language; whatever comes from data is never looked up here."""

from __future__ import annotations

from collections.abc import Mapping

from assay import web

_TEXTS: Mapping[str, tuple[str, str]] = web.TEXTS | {
    # types of use
    "type.math": ("math", "数学"),
    "type.code": ("code", "代码"),
    "type.cot": ("chain of thought", "思维链"),
    "type.classification": ("classification", "分类"),
    "type.extraction": ("extraction", "抽取"),
    "type.open_qa": ("open QA", "开放问答"),
    "type.closed_qa": ("closed QA", "封闭问答"),
    "type.generation": ("generation", "生成"),
    "type.brainstorming": ("brainstorming", "头脑风暴"),
    "type.rewrite": ("rewrite", "改写"),
    "type.translation": ("translation", "翻译"),
    "type.summarization": ("summarization", "摘要"),
    "type.none": ("no type", "无类型"),
    # every page
    "page.eyebrow": ("annotation", "标注"),
    "page.skip": ("To the work", "跳到正文"),
    "page.help": ("Keys", "快捷键"),
    "page.overview": ("Overview", "总览"),
    # login
    "login.name": ("Your name", "您的名字"),
    "login.name.help": (
        "Your labels will carry this name. It cannot be changed later.",
        "您的标注将署这个名字，之后不能更改。",
    ),
    "login.as": ("Go on as {name}", "以 {name} 的身份继续"),
    "login.begin": ("Begin", "开始"),
    "login.taken": ("Another annotator has this name.", "已有其他标注者使用这个名字。"),
    "login.empty": ("A name has 1 to 40 visible characters.", "名字须为 1 到 40 个可见字符。"),
    # overview
    "overview.title": ("{done} of {n} items labelled", "已标注 {done} / {n} 题"),
    "overview.next": ("Go to the next open item", "前往下一道未标注的题"),
    "overview.finished": ("All your items are labelled. Thank you.", "您的题目已全部标注，谢谢。"),
    "overview.none": ("No items are given to you.", "没有分配给您的题目。"),
    "overview.people": ("Annotators", "标注者"),
    "overview.you": ("you", "您"),
    "overview.vacant": ("nobody yet", "尚无人"),
    "overview.agreement": ("Agreement", "一致性"),
    "overview.agreement.note": (
        "Krippendorff’s α: 1 is full agreement, 0 is chance.",
        "Krippendorff α：1 为完全一致，0 为随机水平。",
    ),
    "overview.types": ("Types", "类型"),
    "overview.scores": ("Scores", "得分"),
    "overview.answers": ("Answers", "答案"),
    "overview.same": ("{share} of pairs equal", "{share} 的配对相同"),
    "overview.units": ("{n} items with two labels or more", "{n} 题有两份以上标注"),
    "overview.undefined": ("not defined yet", "尚无法计算"),
    "overview.items": ("Items", "题目"),
    "overview.all": ("all", "全部"),
    "state.open": ("open", "未标注"),
    "state.draft": ("draft", "草稿"),
    "state.done": ("done", "已完成"),
    "overview.empty": ("No items here.", "这里没有题目。"),
    "overview.previous": ("Previous page", "上一页"),
    "overview.more": ("Next page", "下一页"),
    # an item
    "item.title": ("Item {position} of {n}", "第 {position} 题，共 {n} 题"),
    "item.progress": ("{done} of {n} labelled", "已标注 {done} / {n}"),
    "item.prompt": ("Prompt", "题目"),
    "role.system": ("System", "系统"),
    "role.user": ("User", "用户"),
    "role.assistant": ("Assistant", "助手"),
    "item.model": ("The model’s answer", "模型的答案"),
    "item.given": ("The answer as given", "原答案"),
    "item.diff": ("Difference", "差异"),
    "item.plain": ("Text", "原文"),
    "item.legend.model": ("only in the model’s answer", "仅在模型答案中"),
    "item.legend.golden": ("only in the golden answer", "仅在标准答案中"),
    "item.legend.removed": ("removed by you", "您删除的"),
    "item.legend.added": ("added by you", "您添加的"),
    "item.same": ("Both texts are the same.", "两段文字相同。"),
    "item.nothing": ("There is no golden answer to compare with.", "没有可比较的标准答案。"),
    "item.type": ("Type", "类型"),
    "item.answer": ("Golden answer", "标准答案"),
    "item.answer.none": ("No golden answer yet", "尚无标准答案"),
    "item.take": ("Take the model’s answer", "采用模型的答案"),
    "item.score.model": ("Score of the model’s answer", "模型答案的得分"),
    "item.score.given": ("Score of the answer as given", "原答案的得分"),
    "item.score.none": ("none", "不打分"),
    "item.score.wrong": ("wrong", "错误"),
    "item.score.right": ("right", "正确"),
    "item.note": ("Note", "备注"),
    "item.save": ("Save and next", "保存并转下一题"),
    "item.stay": ("Save", "保存"),
    "item.undo": ("Undo", "撤销"),
    "item.previous": ("Previous", "上一题"),
    "item.next": ("Next", "下一题"),
    "item.history": ("History of this item", "本题历史"),
    "item.restore": ("Restore", "恢复"),
    "item.holds": ("holds", "当前"),
    "event.save": ("saved", "保存"),
    "event.undo": ("undone", "撤销"),
    "event.restore": ("restored", "恢复"),
    "event.aside": ("draft set aside", "草稿搁置"),
    "event.answer": ("answer of {n} characters", "答案 {n} 个字符"),
    "event.no_answer": ("no answer", "无答案"),
    # notices
    "kept.saved": ("Saved", "已保存"),
    "kept.draft": ("Draft kept", "草稿已保留"),
    "kept.new": ("Not labelled yet", "尚未标注"),
    "kept.lost": (
        "Not saved: the server does not answer. Your text stays here and is sent again.",
        "未保存：服务器没有应答。您的文字仍在此处，将会重新发送。",
    ),
    "kept.refused": (
        "Not saved: log in again in another tab. Your text stays here.",
        "未保存：请在另一个标签页中重新登录。您的文字仍在此处。",
    ),
    "kept.limit": (
        "Not saved: the text is too long, or the form is not whole.",
        "未保存：文字过长，或表单不完整。",
    ),
    "conflict.title": ("This item was changed elsewhere meanwhile.", "本题已在别处被修改。"),
    "conflict.text": (
        "What you see here is not saved. Nothing was overwritten.",
        "您在此看到的内容尚未保存，也没有覆盖任何内容。",
    ),
    "conflict.theirs": ("Show what was saved there", "查看别处保存的内容"),
    "conflict.mine": ("Save mine as the new version", "将我的内容存为新版本"),
    "said.saved": ("Item {position} saved.", "第 {position} 题已保存。"),
    "said.undone": ("Undone: item {position}.", "已撤销：第 {position} 题。"),
    "said.nothing": ("There is nothing to undo.", "没有可以撤销的操作。"),
    "said.restored": ("An earlier version was restored.", "已恢复较早的版本。"),
    "said.finished": ("All your items are labelled.", "您的题目已全部标注。"),
    # errors
    "error.401": ("You are not logged in.", "您尚未登录。"),
    "error.403": ("The request came from elsewhere and was refused.", "请求来自别处，已被拒绝。"),
    "error.404": ("There is no such page.", "没有这个页面。"),
    "error.413": ("That is too long.", "内容过长。"),
    "error.422": ("The form is not whole.", "表单不完整。"),
    "error.503": ("The database does not answer. Try again.", "数据库没有应答，请重试。"),
    # keys
    "keys.help": ("show or hide this list", "显示或隐藏此列表"),
    "keys.next": ("next item, previous item", "下一题、上一题"),
    "keys.score": ("score from 0 to 1", "从 0 到 1 打分"),
    "keys.score.binary": ("wrong, right", "错误、正确"),
    "keys.clear": ("no score", "清除得分"),
    "keys.type": ("choose the type", "选择类型"),
    "keys.edit": ("edit the golden answer", "编辑标准答案"),
    "keys.note": ("write a note", "写备注"),
    "keys.take": ("take the model’s answer", "采用模型的答案"),
    "keys.diff": ("difference or text", "差异或原文"),
    "keys.undo": ("undo", "撤销"),
    "keys.save": ("save and go to the next open item", "保存并转到下一道未标注的题"),
    "keys.stay": ("save and stay", "保存并留在本题"),
    "keys.overview": ("overview", "总览"),
    "keys.leave": ("leave a field", "离开输入框"),
}


class Words(web.Words):
    """Interface text of these pages in one language."""

    texts = _TEXTS

    def type(self, name: str | None) -> str:
        """Return the shown name of a type of use; a user's own type is shown as it is."""
        if name is None:
            return self("type.none")
        return self(f"type.{name}") if f"type.{name}" in _TEXTS else name
