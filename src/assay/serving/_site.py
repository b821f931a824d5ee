"""The application: OpenAI's protocol for programs, studies and a chat for people."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from assay import web
from assay.serving._api import openai_routes
from assay.serving._door import Door
from assay.serving._files import HEADERS, KINDS, find_file
from assay.serving._models import QUEUE, Models
from assay.serving._protocol import RefusedError
from assay.serving._studies import Parts, events, live_parts, state_parts
from assay.serving._values import Library, Live
from assay.view import HTML as REPORT
from assay.view import Words

_STATIC = {
    "palette.css": "assay.view",
    "base.css": "assay.web",
    "chart.css": "assay.view",
    "chat.css": "assay.serving",
    "live.js": "assay.serving",
    "chat.js": "assay.serving",
}
_SCRIPTED = ("you", "waiting", "stopped", "cut", "dropped", "tokens", "failed", "unreachable")
"""Texts that the script of the chat page shows."""
MOST_LISTED = 200
"""Models that a list to choose from holds; of more, one is found by typing."""
_MONTH = 30 * 86400


@dataclass(frozen=True)
class Site:
    """Everything a page needs besides the request."""

    library: Library
    door: Door
    pages: Any
    language: str | None

    def words(self, request: Request) -> Words:
        """Return the interface text: as chosen, as the server was told, or as the browser prefers."""
        chosen = request.cookies.get("assay_language", "")
        if chosen not in web.LANGUAGES:
            chosen = self.language or web.preferred(request.headers.get("accept-language", ""))
        return web.site_words(chosen, "serve")

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Render a page."""
        theme = request.cookies.get("assay_theme")
        text = self.pages.get_template(template).render(
            w=self.words(request), theme=theme if theme in web.THEMES else "auto", here=_here(request),
            logged=self.door.page(request.cookies), csrf=self.door.csrf, **values,
        )  # fmt: skip
        return HTMLResponse(text, status)

    def must(self, request: Request, posted: dict[str, str]) -> None:
        """Refuse a form that is not from a page of somebody who is logged in."""
        if not self.door.page(request.cookies):
            raise HTTPException(401)
        if not self.door.own(posted.get("csrf", "")):
            raise HTTPException(403)


def _here(request: Request) -> str:
    """Return the address of the page, to come back to."""
    query = request.url.query
    return f"{request.url.path}?{query}" if query and request.method == "GET" else request.url.path


def build_app(
    library: Library, door: Door, hosts: frozenset[str], language: str | None = None, *, queue: int = QUEUE
) -> FastAPI:
    """Return the application; ``hosts`` are the names that it may be addressed by.

    ``queue`` questions may wait for each model.  Models that were named are loaded once it runs.
    """
    site, models = Site(library, door, _templates(), language), Models(library.open, queue)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_warming(models, library))
    app.add_middleware(web.Guard, hosts=hosts)
    web.static(app, _STATIC)
    app.include_router(openai_routes(library, models, door))
    _doors(app, site)
    _pages(app, site)
    _studies(app, site)
    _errors(app, site)
    return app


def _warming(models: Models, library: Library) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def while_it_runs(app: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(_look, library)
        task = asyncio.create_task(models.warm(library.given))
        task.add_done_callback(lambda _: gc.freeze())
        yield
        task.cancel()

    return while_it_runs


def _look(library: Library) -> None:
    """Read the lists of all studies ahead of the first page, and let collections of garbage pass them by."""
    library.studies("en")
    gc.collect()
    gc.freeze()


def _templates() -> Any:
    from importlib.resources import files

    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = str(files("assay.serving") / "templates")
    made = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters["place"] = lambda path: quote(path, safe="/")
    made.filters["query"] = lambda text: quote(text, safe="")
    return made


def _doors(app: FastAPI, site: Site) -> None:
    """Log in and out, choose language and colours."""

    @app.get("/login")
    def show_login(request: Request, token: str = "") -> Response:
        bad = bool(token) and not site.door.opens(token)
        status = 403 if bad else 200
        return site.page(request, "login.jinja", status, token="" if bad else token, bad=bad)

    @app.post("/login")
    def log_in(request: Request, posted: web.Posted) -> Response:
        if not site.door.opens(posted.get("token", "").strip()):
            return site.page(request, "login.jinja", 403, token="", bad=True)
        response = RedirectResponse("/", 303)
        # Lax: a report, which is shown in a sandbox of its own, may lead to other pages.
        response.set_cookie(
            site.door.cookie, site.door.session, max_age=_MONTH, httponly=True, samesite="lax"
        )
        return response

    @app.post("/logout")
    def log_out(request: Request, posted: web.Posted) -> Response:
        site.must(request, posted)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(site.door.cookie, httponly=True, samesite="lax")
        return response

    @app.post("/choose")
    def choose(request: Request, posted: web.Posted) -> Response:
        site.must(request, posted)
        language, theme = web.chosen_look(posted)
        response = RedirectResponse(web.local(posted.get("back", "/")), 303)
        for name, value in (("assay_language", language), ("assay_theme", theme)):
            if value is not None:
                response.set_cookie(name, value, max_age=_MONTH, httponly=True, samesite="lax")
        return response


def _pages(app: FastAPI, site: Site) -> None:
    """Studies, their files, and the chat."""

    def closed(request: Request) -> Response | None:
        return None if site.door.page(request.cookies) else RedirectResponse("/login", 303)

    @app.get("/")
    def studies(request: Request) -> Response:
        if (refused := closed(request)) is not None:
            return refused
        rows = site.library.studies(site.words(request).language)
        at = str(request.base_url) + "v1"
        return site.page(request, "studies.jinja", rows=rows, given=site.library.given, endpoint=at)

    @app.get("/events")
    def all_events(request: Request) -> Response:
        if (refused := closed(request)) is not None:
            return refused
        w = site.words(request)
        return events(request, lambda: state_parts(site.pages, list(site.library.studies(w.language)), w))

    @app.get("/runs/{path:path}")
    def file(request: Request, path: str) -> Response:
        if (refused := closed(request)) is not None:
            return refused
        found = find_file(site.library.runs, path)
        if found is None:
            raise HTTPException(404)
        if found.name == REPORT:
            back = site.words(request)("studies.back")
            return HTMLResponse(with_way_back(found.read_text(encoding="utf-8"), back), headers=HEADERS)
        return FileResponse(found, media_type=KINDS[found.suffix], headers=HEADERS)

    @app.get("/chat")
    def chat(request: Request, model: str = "", beside: str = "") -> Response:
        if (refused := closed(request)) is not None:
            return refused
        w = site.words(request)
        groups = {row.name: row.models for row in site.library.studies("en") if row.models}
        names = [*site.library.given, *(name for names in groups.values() for name in names)]
        return site.page(
            request, "chat.jinja", given=site.library.given, groups=groups,
            many=names if len(names) > MOST_LISTED else (),
            model=_named(model, names) or next(iter(names), ""), beside=_named(beside, names),
            unknown=[name for name in (model, beside) if name and not _named(name, names)],
            scripted={name: w(f"chat.{name}") for name in _SCRIPTED},
        )  # fmt: skip


def _named(name: str, names: Sequence[str]) -> str:
    """Return the model of a name; without a seed the first of its seeds, "" where there is none."""
    near = (other for other in names if name and other.startswith(f"{name}/"))
    return name if name in names else next(near, "")


def _studies(app: FastAPI, site: Site) -> None:
    """Show one study while it runs, and two over one another."""

    def live(request: Request, name: str, *, fitted: bool) -> Live | None:
        return site.library.live(name, site.words(request).language, fitted=fitted)

    @app.get("/study/{name:path}")
    def study(request: Request, name: str) -> Response:
        if not site.door.page(request.cookies):
            return RedirectResponse("/login", 303)
        found, w = live(request, name, fitted=False), site.words(request)
        if found is None:
            raise HTTPException(404)
        others = [row.name for row in site.library.studies(w.language) if row.name != name]
        parts = live_parts(site.pages, found, w)
        return site.page(request, "study.jinja", live=found, parts=parts, others=others)

    @app.get("/events/{name:path}")
    def study_events(request: Request, name: str) -> Response:
        if not site.door.page(request.cookies):
            return RedirectResponse("/login", 303)
        w = site.words(request)

        def look() -> Parts | None:
            found = live(request, name, fitted=True)
            return None if found is None else live_parts(site.pages, found, w)

        return events(request, look)

    @app.get("/compare")
    def compare(request: Request, a: str = "", b: str = "") -> Response:
        if not site.door.page(request.cookies):
            return RedirectResponse("/login", 303)
        w = site.words(request)
        rows = {row.name: row for row in site.library.studies(w.language)}
        if a not in rows or b not in rows:
            raise HTTPException(404)
        panels = site.library.overlaid((a, b), w.language)
        return site.page(request, "compare.jinja", pair=(rows[a], rows[b]), names=list(rows), panels=panels)


def with_way_back(page: str, text: str) -> str:
    """Return a report with a link to the list of studies at its top."""
    mark = '<header class="bar-top" id="top">'
    link = f'<p class="eyebrow"><a href="/">← {escape(text)}</a></p>'
    return page.replace(mark, f"{link}\n{mark}", 1)


def _errors(app: FastAPI, site: Site) -> None:
    from fastapi.exceptions import RequestValidationError

    def answer(request: Request, status: int) -> Response:
        if request.url.path.startswith("/v1/"):
            said = RefusedError(status, site.words(request)(f"error.{status}"))
            return JSONResponse(said.body, status)
        return site.page(request, "error.jinja", status, text=site.words(request)(f"error.{status}"))

    @app.exception_handler(RefusedError)
    def refused(request: Request, error: RefusedError) -> Response:
        waits = {"retry-after": "2"} if error.status == 429 else None
        return JSONResponse(error.body, error.status, headers=waits)

    @app.exception_handler(HTTPException)
    def failed(request: Request, error: HTTPException) -> Response:
        known = (401, 403, 404, 422)
        return answer(request, error.status_code if error.status_code in known else 404)

    @app.exception_handler(RequestValidationError)
    def bad_address(request: Request, error: RequestValidationError) -> Response:
        return answer(request, 404)

    @app.exception_handler(500)
    def broken(request: Request, error: Exception) -> Response:
        return answer(request, 500)
