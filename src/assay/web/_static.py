"""Files that pages load."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException


def static(app: FastAPI, packages: Mapping[str, str]) -> None:
    """Serve our style sheets and the named files, each from the folder ``static`` of its package."""
    places = {"palette.css": "assay.view", "base.css": "assay.web", **packages}

    @app.get("/static/{name}")
    def file(name: str) -> Response:
        if name not in places:
            raise HTTPException(404)
        kind = "text/plain; charset=utf-8" if name == "LICENSES" else None
        return FileResponse(str(files(places[name]) / "static" / name), media_type=kind)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)
