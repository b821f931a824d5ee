"""The application: what each address does.  A response goes out only after its change is committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from secrets import compare_digest
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from assay import web
from assay.annotation._pages import Pages, Scale, neighbour, number_of, parse_label
from assay.annotation._store import Login, Store
from assay.annotation._tokens import Tokens
from assay.annotation._values import Conflict, Form, Item, Label, Standing
from assay.core import AssayError
from assay.view import Words

_STATIC = ("annotate.css", "annotate.js", "htmx.min.js", "LICENSES")


@dataclass(frozen=True)
class Site:
    """Everything a request needs besides itself."""

    store: Store
    pages: Pages
    tokens: Tokens
    cookie: str
    language: str | None

    def login(self, request: Request) -> Login | None:
        """Return who is logged in."""
        return self.store.login(request.cookies.get(self.cookie, ""))

    def must(self, request: Request, posted: dict[str, str] | None = None) -> Login:
        """Return who is logged in, or refuse; a posted form must carry the login's own token."""
        login = self.login(request)
        if login is None:
            raise HTTPException(401)
        if posted is not None and not compare_digest(posted.get("csrf", "").encode(), login.csrf.encode()):
            raise HTTPException(403)
        return login

    def words(self, request: Request, login: Login | None) -> Words:
        """Return the interface text: as chosen, as the server was told, or as the browser prefers."""
        chosen = (login and login.language) or self.language
        return web.site_words(chosen or web.preferred(request.headers.get("accept-language", "")), "annotate")

    def find(self, position: int, seat: int) -> Item:
        """Return the item at a position, or refuse one that is not there or not this annotator's."""
        item = self.store.item(position)
        if item is None or all(task.item != item.id for task in self.store.tasks(seat)):
            raise HTTPException(404)
        return item


def build_app(store: Store, tokens: Tokens, hosts: frozenset[str], *, scale: Scale = "steps",
              language: str | None = None) -> FastAPI:  # fmt: skip
    """Return the application for a store; ``hosts`` are the names that it may be addressed by."""
    cookie = f"assay_{store.remember('identity')}"
    site = Site(store, Pages(store, scale), tokens, cookie, language)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(web.Guard, hosts=hosts)
    web.static(
        app,
        dict.fromkeys(_STATIC, "assay.annotation"),
    )
    _doors(app, site)
    _overview(app, site)
    _work(app, site)
    _errors(app, site)
    return app


def _doors(app: FastAPI, site: Site) -> None:
    """Log in and out, choose language and colours."""

    @app.get("/login")
    def show_login(request: Request, token: str = "") -> Response:
        return _login_page(site, request, token)

    @app.post("/login")
    def log_in(request: Request, posted: web.Posted) -> Response:
        token = posted.get("token", "").strip()
        seat = site.tokens.seat(token)
        if seat is None:
            return _login_page(site, request, token)
        if site.store.seats()[seat] is None:
            try:
                site.store.take_seat(seat, posted.get("name", ""))
            except AssayError as error:
                problem = "login.taken" if "another" in error.problem else "login.empty"
                # Without a name the form is shown for the first time.
                return _login_page(site, request, token, problem if "name" in posted else None)
        response = RedirectResponse("/", 303)
        # The cookie outlives the browser's window: a draft is not lost to a restart.
        response.set_cookie(
            site.cookie, site.store.log_in(seat), max_age=30 * 86400, httponly=True, samesite="strict"
        )
        return response

    @app.post("/logout")
    def log_out(request: Request, posted: web.Posted) -> Response:
        site.store.log_out(site.must(request, posted))
        response = RedirectResponse("/login", 303)
        response.delete_cookie(site.cookie, httponly=True, samesite="strict")
        return response

    @app.post("/choose")
    def choose(request: Request, posted: web.Posted) -> Response:
        login = site.must(request, posted)
        language, theme = web.chosen_look(posted)
        site.store.choose(login, language=language, theme=theme)
        return RedirectResponse(web.local(posted.get("back", "/")), 303)


def _login_page(site: Site, request: Request, token: str, problem: str | None = None) -> Response:
    seat = site.tokens.seat(token) if token else None
    if token and seat is None:
        problem = "login.bad"
    name = site.store.seats()[seat] if seat else None
    page = site.pages.render(
        "login.jinja", site.words(request, None), None, token=token if seat else "", name=name,
        problem=problem,
    )  # fmt: skip
    return HTMLResponse(page, 200 if problem is None else 403)


def _overview(app: FastAPI, site: Site) -> None:
    @app.get("/")
    def overview(request: Request, state: str = "all", page: int = 0) -> Response:
        login = site.login(request)
        if login is None:
            return RedirectResponse("/login", 303)
        state = state if state in ("open", "draft", "done") else "all"
        return HTMLResponse(site.pages.overview(login, site.words(request, login), state, page))


@dataclass(frozen=True)
class _Turn:
    """One posted form of an item's page."""

    site: Site
    request: Request
    login: Login
    item: Item
    form: Form
    proposed: Label

    @property
    def words(self) -> Words:
        return self.site.words(self.request, self.login)

    @property
    def swaps(self) -> bool:
        """Say whether htmx asks, which takes the main part alone."""
        return self.request.headers.get("hx-request") == "true"

    def keep(self) -> Standing | Conflict:
        return self.site.store.keep_draft(self.login.seat, self.item.id, self.form, self.proposed)

    def show(self, position: int | None, said: str | None = None) -> Response:
        """Go to an item, or to the overview where there is none."""
        address = "/" if position is None else f"/items/{position}"
        if not self.swaps:
            return RedirectResponse(address, 303)
        if position is None:
            return Response(status_code=204, headers={"HX-Redirect": "/"})
        item = self.item if position == self.item.position else self.site.find(position, self.login.seat)
        page = self.site.pages.item(self.login, self.words, item, said=said, whole=False)
        return HTMLResponse(page, headers={"HX-Push-Url": address})

    def refuse(self) -> Response:
        """Show the form again with the conflict; nothing that was typed is lost."""
        page = self.site.pages.item(
            self.login, self.words, self.item, refused=self.form, whole=not self.swaps
        )
        return HTMLResponse(page, 409)

    def move(self, step: Any, said: str | None = None) -> Response:
        position = neighbour(self.site.store.tasks(self.login.seat), self.item.position, step)
        return self.show(self.item.position if position is None and step != "open" else position, said)


def _work(app: FastAPI, site: Site) -> None:
    """Show an item, keep drafts, save, undo."""

    @app.get("/items/{position}")
    def show_item(request: Request, position: int) -> Response:
        login = site.login(request)
        if login is None:
            return RedirectResponse("/login", 303)
        item = site.find(position, login.seat)
        return HTMLResponse(site.pages.item(login, site.words(request, login), item))

    @app.post("/items/{position}/draft")
    def keep_draft(request: Request, position: int, posted: web.Posted) -> Response:
        turn = _turn(site, request, position, posted)
        kept = turn.keep()
        refused = isinstance(kept, Conflict)
        standing = kept.standing if isinstance(kept, Conflict) else kept
        page = site.pages.render(
            "draft.jinja", turn.words, turn.login, item=turn.item, standing=standing, said=None,
            conflict=standing.version if refused else None,
            parts=site.pages.parts(turn.item, turn.form.label),
        )  # fmt: skip
        return HTMLResponse(page, 409 if refused else 200)

    @app.post("/items/{position}")
    def work(request: Request, position: int, posted: web.Posted) -> Response:
        turn = _turn(site, request, position, posted)
        do, _, version = posted.get("do", "").partition(":")
        if do not in _DEEDS or (version and not version.isdecimal()):
            raise HTTPException(422)
        return _DEEDS[do](turn, int(version or 0))


def _turn(site: Site, request: Request, position: int, posted: dict[str, str]) -> _Turn:
    login = site.must(request, posted)
    item = site.find(position, login.seat)
    standing = site.store.standing(login.seat, item.id)
    try:
        label = parse_label(posted, item, standing.label, site.pages.scale)
        form = Form(
            label, int(posted["version"]), posted["page"][:40], int(posted.get("serial") or 0),
            posted.get("seen", "")[:40],
        )  # fmt: skip
    except (AssayError, KeyError, ValueError):
        raise HTTPException(422) from None
    return _Turn(site, request, login, item, form, Label.proposed(item.sample))


def _save(turn: _Turn, stay: bool) -> Response:
    saved = turn.site.store.save(turn.login.seat, turn.item.id, turn.form)
    if isinstance(saved, Conflict):
        return turn.refuse()
    number = number_of(turn.item, turn.site.store.tasks(turn.login.seat))
    said = turn.words("said.saved", number=number)
    return turn.show(turn.item.position, said) if stay else turn.move("open", said)


def _save_over(turn: _Turn, version: int) -> Response:
    """Save after a conflict was shown: over the version that the annotator saw."""
    return _save(replace(turn, form=replace(turn.form, version=version)), True)


def _go(turn: _Turn, step: str) -> Response:
    return turn.refuse() if isinstance(turn.keep(), Conflict) else turn.move(step)


def _undo(turn: _Turn, _: int) -> Response:
    if isinstance(turn.keep(), Conflict):
        return turn.refuse()
    undone = turn.site.store.undo(turn.login.seat, turn.item.id)
    if undone is None:
        return turn.show(turn.item.position, turn.words("said.nothing"))
    tasks = turn.site.store.tasks(turn.login.seat)
    position, number = next((t.position, t.number) for t in tasks if t.item == undone)
    return turn.show(position, turn.words("said.undone", number=number))


def _restore(turn: _Turn, version: int) -> Response:
    if isinstance(turn.keep(), Conflict):
        return turn.refuse()
    if not turn.site.store.restore(turn.login.seat, turn.item.id, version):
        raise HTTPException(404)
    return turn.show(turn.item.position, turn.words("said.restored"))


_DEEDS: dict[str, Callable[[_Turn, int], Response]] = {
    "save": lambda turn, _: _save(turn, False),
    "stay": lambda turn, _: _save(turn, True),
    "over": _save_over,
    "next": lambda turn, _: _go(turn, "next"),
    "previous": lambda turn, _: _go(turn, "previous"),
    "undo": _undo,
    "restore": _restore,
}
"""What the buttons of an item's page do."""


def _errors(app: FastAPI, site: Site) -> None:
    def answer(request: Request, status: int) -> Response:
        words = site.words(request, None)
        code = status if status in (401, 403, 404, 413, 503) else 422
        page = site.pages.render("error.jinja", words, None, text=words(f"error.{code}"))
        return HTMLResponse(page, status)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code)

    @app.exception_handler(DBAPIError)
    def no_database(request: Request, error: DBAPIError) -> Response:
        return answer(request, 503)

    from fastapi.exceptions import RequestValidationError

    @app.exception_handler(RequestValidationError)
    def bad_address(request: Request, error: RequestValidationError) -> Response:
        return answer(request, 404)
