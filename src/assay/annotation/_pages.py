"""What the pages show, and the templates that show it; all text from data is escaped."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from assay.annotation._diff import difference
from assay.annotation._export import agreement
from assay.annotation._store import Login, Store
from assay.annotation._values import Form, Item, Label, Standing, Task
from assay.core import TASK_TYPES, AssayError, task_type
from assay.view import Words

if TYPE_CHECKING:
    from jinja2 import Environment

Scale: TypeAlias = Literal["steps", "binary"]

SCALES: dict[Scale, tuple[float, ...]] = {"steps": (0.0, 0.25, 0.5, 0.75, 1.0), "binary": (0.0, 1.0)}
"""The scores that can be given; key 1 is the first."""

PAGE_ROWS = 50


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the template engine: everything is escaped, and an unknown name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("assay.annotation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clean"] = clean
    return made


def clean(text: str) -> str:
    r"""Return text that a page can hold: lone surrogates and NULs become U+FFFD, ends of lines ``\n``."""
    whole = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")
    return whole.replace("\r\n", "\n").replace("\r", "\n")


def typed(text: str, known: Sequence[str | None]) -> str | None:
    """Return what was typed into a field, or None where the field is empty.

    A page changes ends of lines and what it cannot hold; a text that says the same as a known one, but for
    that, is the known one.
    """
    plain = clean(text)
    for same in known:
        if same is not None and clean(same) == plain:
            return same
    return plain if plain.strip() else None


class Pages:
    """Pages of one annotation."""

    def __init__(self, store: Store, scale: Scale) -> None:
        """Look up the types in use, so that they can be chosen."""
        self.store, self.scale = store, scale
        kinds = {task_type(item.sample.type) for item in store.all_items() if item.sample.type}
        self.types = (*TASK_TYPES, *sorted(kinds - set(TASK_TYPES)))

    def render(self, template: str, words: Words, login: Login | None, **parts: Any) -> str:
        """Return a page or a part of one."""
        names = {"w": words, "login": login, "scale": self.scale, "theme": login.theme if login else None}
        return environment().get_template(template).render(names | parts)

    def overview(self, login: Login, words: Words, state: str, page: int) -> str:
        """Return the page of progress, agreement and items."""
        tasks = self.store.tasks(login.seat)
        counts = Counter(task.state for task in tasks)
        shown = [task for task in tasks if state in ("all", task.state)]
        last = max(0, (len(shown) - 1) // PAGE_ROWS)
        page = min(max(page, 0), last)
        part = shown[page * PAGE_ROWS : (page + 1) * PAGE_ROWS]
        items = {item.position: item for item in self.store.items([task.position for task in part])}
        first = next((task.position for task in tasks if task.state != "done"), None)
        return self.render(
            "overview.jinja", words, login, tasks=tasks, counts=counts, first=first, state=state, page=page,
            last=last, rows=[(task, items[task.position]) for task in part], people=self._people(),
            agreement=agreement(self.store.labels()), done=sum(task.labelled for task in tasks),
        )  # fmt: skip

    def _people(self) -> list[dict[str, Any]]:
        rows = []
        for seat, name in self.store.seats().items():
            tasks = self.store.tasks(seat)
            done = sum(task.labelled for task in tasks)
            if tasks or name is not None:
                rows.append({"seat": seat, "name": name, "done": done, "n": len(tasks)})
        return rows

    def item(
        self,
        login: Login,
        words: Words,
        item: Item,
        *,
        said: str | None = None,
        refused: Form | None = None,
        whole: bool = True,
    ) -> str:
        """Return the page of an item, or (not ``whole``) its main part.

        ``refused`` is a form that was not taken: its text is shown again, with what to do about it.
        """
        standing = self.store.standing(login.seat, item.id)
        form = refused or self._form(item, standing)
        tasks = self.store.tasks(login.seat)
        return self.render(
            "item.jinja" if whole else "work.jinja", words, login, item=item, form=form, standing=standing,
            conflict=standing.version if refused else None, said=said, types=self._types(form.label),
            scores=SCALES[self.scale], parts=self.parts(item, form.label), tasks=tasks,
            done=sum(task.labelled for task in tasks),
            history=self.store.history(login.seat, item.id), number=number_of(item, tasks),
        )  # fmt: skip

    def _types(self, label: Label) -> tuple[str, ...]:
        known = label.type is None or label.type in self.types
        return self.types if known else (*self.types, str(label.type))

    @staticmethod
    def _form(item: Item, standing: Standing) -> Form:
        """Return the form that a page opens with: the draft, else what holds, else what the data says."""
        page = secrets.token_urlsafe(12)
        if standing.draft is not None:
            return Form(standing.draft.label, standing.version, page, 0, standing.draft.page)
        return Form(standing.label or Label.proposed(item.sample), standing.version, page)

    @staticmethod
    def parts(item: Item, label: Label) -> Any:
        """Return the difference to show: model to golden answer, or the answer as given to what it became.

        None where there is nothing to compare.
        """
        first = item.sample.answer if item.model_answer is None else item.model_answer
        if first is None or label.answer is None:
            return None
        return difference(clean(first), clean(label.answer))


def number_of(item: Item, tasks: Sequence[Task]) -> int:
    """Return which of an annotator's own items one is, from 1."""
    return next(task.number for task in tasks if task.item == item.id)


def neighbour(tasks: Sequence[Task], position: int, step: Literal["next", "previous", "open"]) -> int | None:
    """Return the position to go to: the nearest before or after, or the next one that is not done."""
    after = [task for task in tasks if task.position > position]
    before = [task for task in tasks if task.position < position]
    if step == "next":
        return after[0].position if after else None
    if step == "previous":
        return before[-1].position if before else None
    return next((task.position for task in (*after, *before) if task.state != "done"), None)


def parse_label(fields: Any, item: Item, held: Label | None, scale: Scale) -> Label:
    """Return the label that a form's fields say; raise :class:`AssayError` where they say none."""
    score = fields.get("score", "")
    known = [None if held is None else held.answer, item.sample.answer, item.model_answer]
    # A score of another scale, given earlier, is kept as it was.
    values = {"": None} | {f"{value:g}": value for value in SCALES[scale]}
    if held is not None and held.score is not None:
        values[f"{held.score:g}"] = held.score
    if score not in values:
        raise AssayError("not a score", place="score", value=score, expected=", ".join(values))
    kind = fields.get("type", "").strip()
    return Label(
        task_type(kind) if kind else None,
        typed(fields.get("answer", ""), known),
        values[score],
        clean(fields.get("note", "")),
    )
