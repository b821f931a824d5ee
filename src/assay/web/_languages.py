"""Languages of the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

LANGUAGES: Mapping[str, int] = {"en": 0, "zh": 1}
"""Languages that there is interface text in, and their column in a catalogue."""

TEXTS: dict[str, tuple[str, str]] = {
    "page.language": ("中文", "English"),
    "page.theme.auto": ("Colours: as the system", "配色：跟随系统"),
    "page.theme.dark": ("Colours: dark", "配色：深色"),
    "page.theme.light": ("Colours: light", "配色：浅色"),
    "page.leave": ("Log out", "退出"),
    "login.title": ("Log in", "登录"),
    "login.lead": (
        "Open the link that the terminal showed, or paste its token here.",
        "请打开终端中显示的链接，或在此粘贴其中的令牌。",
    ),
    "login.token": ("Token from the terminal", "终端中显示的令牌"),
    "login.go": ("Continue", "继续"),
    "login.bad": ("This token is not valid.", "令牌无效。"),
    "keys.title": ("Keys", "快捷键"),
    "keys.close": ("Close", "关闭"),
    "error.title": ("That did not work", "操作未成功"),
}
"""Interface text that all pages share; each room adds its own."""


@dataclass(frozen=True, slots=True)
class Words:
    """Interface text in one language."""

    language: str
    texts: ClassVar[Mapping[str, tuple[str, str]]] = TEXTS

    def __call__(self, key: str, **parts: object) -> str:
        """Return the text of ``key`` with ``{parts}`` filled in; raises ``KeyError`` for an unknown key."""
        text = self.texts[key][LANGUAGES[self.language]]
        return text.format(**parts) if parts else text


def preferred(accepted: str, default: str = "en") -> str:
    """Return the language of an ``Accept-Language`` header that there is text in (RFC 9110, 12.5.4)."""
    wishes = []
    for place, part in enumerate(accepted.split(",")):
        tag, _, weight = part.partition(";q=")
        try:
            quality = float(weight or 1.0)
        except ValueError:
            continue
        language = tag.strip().lower().split("-")[0]
        if language in LANGUAGES and quality > 0:
            wishes.append((-quality, place, language))
    return min(wishes)[2] if wishes else default
