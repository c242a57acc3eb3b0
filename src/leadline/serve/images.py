"""The route of images: /v1/depth."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import Executor
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from torch import Tensor

from leadline.io.images import TooManyPixels
from leadline.serve.answering import MEDIA, SUFFIXES, Answerer, Intrinsics, Seen, meaning
from leadline.serve.batching import Batcher
from leadline.serve.limits import Limits
from leadline.serve.problems import Problem, refusals
from leadline.serve.receiving import receive
from leadline.serve.schemas import DepthQuery

BINARY = {"type": "string", "format": "binary"}


def body(what: str, *media: str) -> dict[str, Any]:
    """A file as the description of a request has it: as the body, or as the field of a form."""
    form = {"type": "object", "properties": {"file": BINARY}, "required": ["file"]}
    content = {"multipart/form-data": {"schema": form}, **{name: {"schema": BINARY} for name in media}}
    return {"requestBody": {"required": True, "description": what, "content": content}}


_ABOUT = {
    "Depth-Kind": "quantity, and what it is known up to, such as metric-depth",
    "Depth-Unit": "of the values; arbitrary unless the kind is metric",
    "Depth-Range": "smallest and largest valid value; absent where no pixel has one",
    "Depth-Model": "name of the model",
    "Depth-Licence": "of the model's weights",
    "Depth-Note": "what to know before it is trusted; may be absent",
}
_DEPTH = {
    200: {
        "description": "the depth map, as large as the image",
        "content": {media: {"schema": BINARY} for media in sorted(set(MEDIA.values()))},
        "headers": {name: {"description": what, "schema": {"type": "string"}} for name, what in _ABOUT.items()},
    }
}


def router(
    answerer: Answerer, batcher: Batcher[Seen, Tensor], pool: Executor, limits: Limits, note: str, statuses: list[int]
) -> APIRouter:
    """The route.

    Args:
        answerer: decodes and encodes, in the threads of ``pool``.
        batcher: runs the network.
        pool: as many threads as cores.
        limits: of an image.
        note: on the model.
        statuses: that may be answered before the route is reached.
    """
    routes = APIRouter(tags=["images"])

    @routes.post(
        "/v1/depth",
        summary="Depth of an image",
        response_class=Response,
        responses={**_DEPTH, **refusals(*statuses, 400, 408, 413, 422, 429, 503)},  # type: ignore[dict-item]
        openapi_extra=body(
            "an image: JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM", "image/*", "application/octet-stream"
        ),
    )
    async def depth(request: Request, query: Annotated[DepthQuery, Query()]) -> Response:
        """The image's depth map, as large as the image; headers say what its values mean. The image is the body, or the
        field ``file`` of a form; no name given with it is used."""
        intrinsics = Intrinsics(**query.model_dump(exclude={"format"}))
        loop = asyncio.get_running_loop()
        with batcher.place():
            sent = io.BytesIO()
            await receive(request, sent, round(limits.image_mb * 1e6), limits.upload_seconds, limits.idle_seconds)
            try:
                async with asyncio.timeout(limits.answer_seconds):
                    seen = await loop.run_in_executor(pool, answerer.see, sent.getvalue(), query.format, intrinsics)
                    del sent  # the queue is bounded in number; this keeps what waits in it small
                    output = await batcher.ask(seen.key, seen)
                    answer = await loop.run_in_executor(pool, answerer.answer, seen, output, query.format)
            except TooManyPixels as error:
                raise Problem(413, str(error)) from None
            except TimeoutError:
                late = f"not done within {limits.answer_seconds:g} s"
                raise Problem(503, late, {"Retry-After": "10"}) from None
        headers = meaning(answerer.model, note, answer.depth)
        headers["Content-Disposition"] = f'inline; filename="depth.{SUFFIXES[query.format].removeprefix("depth.")}"'
        return Response(answer.body, media_type=MEDIA[query.format], headers=headers)

    return routes
