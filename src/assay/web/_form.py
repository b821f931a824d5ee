"""What pages send: the text fields of a form, and the look that somebody chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from assay.view import LANGUAGES
from assay.web._guard import MAX_BYTES

THEMES = ("auto", "dark", "light")


async def _posted(request: Request) -> dict[str, str]:
    """Return the text fields of a form."""
    form = await request.form(max_files=0, max_fields=30, max_part_size=MAX_BYTES)
    return {name: value for name, value in form.items() if isinstance(value, str)}


Posted = Annotated[dict[str, str], Depends(_posted)]
"""The type of an address's argument that takes the fields of its form."""


def chosen_look(posted: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the language and the theme that a form chooses, None for what it leaves; 422 for any other."""
    language, theme = posted.get("language"), posted.get("theme")
    if language not in (None, *LANGUAGES) or theme not in (None, *THEMES):
        raise HTTPException(422)
    return language, theme
