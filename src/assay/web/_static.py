"""Files that pages load."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException


def static(app: FastAPI, rooms: Mapping[str, str]) -> None:
    """Serve the named files, each from the folder ``static`` of its room, and nothing else."""

    @app.get("/static/{name}")
    def file(name: str) -> Response:
        if name not in rooms:
            raise HTTPException(404)
        kind = "text/plain; charset=utf-8" if name == "LICENSES" else None
        return FileResponse(str(files(rooms[name]) / "static" / name), media_type=kind)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)
