"""The page: a handful of files, read once; what a browser asks for is looked up, never opened."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from leadline.serve.problems import Problem

TYPES = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}  # fmt: skip


def router() -> APIRouter:
    """``/`` and what it needs under ``/page/``, open to everyone: the page asks for a token itself."""
    routes = APIRouter(include_in_schema=False)
    page = {
        file.name: (file.read_bytes(), TYPES[file.name.rpartition(".")[2]])
        for file in files("leadline.serve").joinpath("page").iterdir()
        if file.name.rpartition(".")[2] in TYPES
    }

    @routes.get("/")
    async def index(request: Request) -> Response:
        return sent(request, "index.html")

    @routes.get("/favicon.ico")
    async def icon(request: Request) -> Response:
        return sent(request, "icon.svg")

    @routes.get("/page/{name}")
    async def file(request: Request, name: str) -> Response:
        return sent(request, name)

    def sent(request: Request, name: str) -> Response:
        if name not in page:
            raise Problem(404, "there is nothing here")
        content, media = page[name]
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media, headers=headers)

    return routes
