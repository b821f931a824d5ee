"""Interface text of the pages, by language; whatever comes from data or models is never looked up here."""

from __future__ import annotations

from collections.abc import Mapping

from assay import web

_TEXTS: Mapping[str, tuple[str, str]] = web.TEXTS | {
    "page.eyebrow": ("studies and models", "实验与模型"),
    "page.skip": ("To the content", "跳到正文"),
    "page.studies": ("Studies", "实验"),
    "page.chat": ("Chat", "对话"),
    "page.keys": ("Keys", "快捷键"),
    # login
    # studies
    "studies.title": ("Studies", "实验"),
    "studies.none": (
        "No study has been run here yet. `assay demo` runs one in minutes.",
        "这里还没有实验。运行 `assay demo`，几分钟即可完成一个。",
    ),
    "studies.finished": ("finished", "已完成"),
    "studies.open": ("not finished", "未完成"),
    "studies.models": ("{done} of {n} models can be talked to", "可对话的模型：{done} / {n}"),
    "studies.unlisted": (
        "run the study again to talk to its models",
        "重新运行该实验后即可与其模型对话",
    ),
    "studies.report": ("Report", "报告"),
    "studies.above": ("All its bases", "各基座对比"),
    "studies.chat": ("Talk to its models", "与模型对话"),
    "studies.endpoint": ("For programs", "供程序使用"),
    "studies.endpoint.text": (
        "OpenAI's protocol, with the token of the terminal as the key:",
        "兼容 OpenAI 协议，以终端中的令牌作为密钥：",
    ),
    # chat
    "chat.title": ("Chat", "对话"),
    "chat.model": ("Model", "模型"),
    "chat.beside": ("Beside it", "并排对比"),
    "chat.alone": ("none", "无"),
    "chat.given": ("Named at the start", "启动时指定"),
    "chat.settings": ("Settings", "设置"),
    "chat.system": ("System text", "系统提示"),
    "chat.temperature": ("Temperature", "温度"),
    "chat.length": ("Longest answer, tokens", "回答上限（词元）"),
    "chat.seed": ("Seed", "随机种子"),
    "chat.log": ("Conversation", "对话内容"),
    "chat.question": ("Your question", "您的问题"),
    "chat.placeholder": ("Ask something", "请输入问题"),
    "chat.send": ("Ask", "发送"),
    "chat.stop": ("Stop", "停止"),
    "chat.retry": ("Again", "重新回答"),
    "chat.undo": ("Take back", "撤回"),
    "chat.new": ("New", "新对话"),
    "chat.save": ("Save", "保存"),
    "chat.empty": (
        "Ask a question. With a second model beside the first, both answer it.",
        "请提问。选择第二个模型后，两个模型会同时回答。",
    ),
    "chat.none": ("No model is served.", "没有可对话的模型。"),
    "chat.you": ("You", "您"),
    "chat.waiting": ("…", "…"),
    "chat.stopped": ("stopped", "已停止"),
    "chat.cut": ("cut at the longest answer", "已达回答上限"),
    "chat.dropped": (
        "The context is full: the {n} oldest turns were left out.",
        "上下文已满：省去了最早的 {n} 条消息。",
    ),
    "chat.tokens": ("{n} tokens", "{n} 个词元"),
    "chat.failed": ("The answer failed: {problem}", "回答失败：{problem}"),
    "chat.unreachable": ("The server does not answer.", "服务器没有响应。"),
    # keys
    "keys.send": ("ask", "发送"),
    "keys.line": ("new line", "换行"),
    "keys.stop": ("stop the answer, leave the field", "停止回答、离开输入框"),
    "keys.question": ("to the question", "到输入框"),
    "keys.retry": ("answer again", "重新回答"),
    "keys.undo": ("take the last question back", "撤回上一个问题"),
    "keys.new": ("new conversation", "新对话"),
    "keys.save": ("save as samples (JSONL)", "保存为样本（JSONL）"),
    "keys.model": ("choose the model", "选择模型"),
    "keys.beside": ("choose the one beside it", "选择并排的模型"),
    "keys.help": ("show the keys", "显示快捷键"),
    # errors
    "error.401": ("Please log in again.", "请重新登录。"),
    "error.403": ("The request does not come from this page. Load it again.", "请求不是来自本页面，请刷新。"),
    "error.404": ("There is nothing here.", "这里没有内容。"),
    "error.422": ("The form is not complete.", "表单不完整。"),
    "error.500": ("The server failed. The terminal says why.", "服务器出错，终端中有原因。"),
}

SCRIPTED = ("you", "waiting", "stopped", "cut", "dropped", "tokens", "failed", "unreachable")
"""Texts that the script of the chat page shows."""


class Words(web.Words):
    """Interface text of these pages in one language."""

    texts = _TEXTS

    @property
    def scripted(self) -> dict[str, str]:
        """Return the texts that the script shows."""
        return {name: self(f"chat.{name}") for name in SCRIPTED}
