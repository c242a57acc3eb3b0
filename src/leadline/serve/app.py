"""The service put together: a model, its queue, the jobs, the routes."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from torch import Tensor

from leadline import __version__
from leadline.errors import LeadlineError
from leadline.runtime.predictor import Predictor
from leadline.serve import images, static, videos
from leadline.serve.access import Access
from leadline.serve.answering import FORMATS, Answerer, Seen
from leadline.serve.batching import Batcher
from leadline.serve.jobs import Jobs
from leadline.serve.limits import Limits
from leadline.serve.metrics import Metrics
from leadline.serve.problems import Problem, refusals
from leadline.serve.schemas import Health, ModelCard
from leadline.serve.spool import Spool

log = logging.getLogger("leadline.serve")

#: Nothing of the page comes from elsewhere, and nobody frames it.
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
SAFE = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True)
class Service:
    """How a model is served.

    Args:
        load: arguments of ``leadline.load`` that opened the model, for the processes of video jobs.
        lens: arguments of :class:`leadline.runtime.predictor.Lens`, likewise.
        note: what to know before the model is trusted.
        batch: images run together at most.
        wait: seconds an image waits for others to run with.
        threads: of the network; None for as many as torch uses.
        tokens: who may ask; anyone, where there are none.
        limits: what is taken on.
        grace: seconds a running video job gets when the server ends.
    """

    load: dict[str, Any]
    lens: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    batch: int = 8
    wait: float = 0.005
    threads: int | None = None
    tokens: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    grace: float = 30.0


def create_app(predictor: Predictor, spool: Spool, service: Service) -> FastAPI:
    """The application, for any ASGI server; it is ready when its lifespan has begun, and ends with it.

    Args:
        predictor: the model, with the lens that knows the camera of images that say nothing of it.
        spool: open; the application does not close it.
        service: how it is served.
    """
    model, limits, access, metrics = predictor.model, service.limits, Access(service.tokens), Metrics()
    answerer = Answerer(model, predictor.lens, round(limits.image_megapixels * 1e6), spool.passing)

    def run(batch: list[Seen]) -> list[Tensor]:
        metrics.batch.observe(len(batch))
        with metrics.network.time():
            return answerer.run(batch)

    threads = service.threads or torch.get_num_threads()
    batcher: Batcher[Seen, Tensor] = Batcher(
        run, service.batch, service.wait, limits.queue, prepare=lambda: torch.set_num_threads(threads)
    )
    # Threads that share the cores with the network: each computes alone.
    pool = ThreadPoolExecutor(os.cpu_count() or 1, "images", torch.set_num_threads, (1,))
    options = {"load": service.load, "lens": service.lens, "batch": service.batch}
    jobs = Jobs(spool, limits, options, service.grace, lambda state: metrics.jobs.labels(state).inc())
    metrics.watch("images_in_hand", "images between their first byte and their answer", lambda: batcher.taken)
    metrics.watch("jobs_pending", "video jobs that wait or run", lambda: jobs.pending)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        answerer.warm_up()
        async with batcher, jobs:
            yield
        pool.shutdown()

    app = FastAPI(
        title="leadline", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        summary="Depth of images and videos.",
        description="Depth or disparity of images and videos. Every answer says what its values mean.",
    )  # fmt: skip
    guard = [] if access.open else [Depends(HTTPBearer(auto_error=False)), Depends(access.owner)]
    statuses = [] if access.open else [401]
    app.include_router(images.router(answerer, batcher, pool, limits, service.note, statuses), dependencies=guard)
    needs_camera = model.focal is not None and not any(service.lens.values())
    app.include_router(videos.router(jobs, access, limits, needs_camera, statuses), dependencies=guard)
    app.include_router(static.router())

    @app.get("/v1/model", tags=["service"], dependencies=guard, responses=refusals(*statuses))
    async def card() -> ModelCard:
        """What the model is, what may be done with it, and what the service takes on."""
        points = model.kind.up_to != "affine"
        height, width = model.input_size(480, 640)
        return ModelCard(
            name=model.name, kind=str(model.kind), unit=model.unit, licence=model.licence, note=service.note,
            points=points, needs_camera=needs_camera, input_height=height, input_width=width,
            formats=[format for format in FORMATS if points or format != "ply"], limits=asdict(limits),
        )  # fmt: skip

    @app.get("/healthz", tags=["service"])
    async def healthz() -> Health:
        """The process is there."""
        return Health(status="ok")

    @app.get("/readyz", tags=["service"], responses=refusals(503))
    async def readyz() -> Health:
        """What is asked now will be answered."""
        if not batcher.alive:
            raise Problem(503, "stopping, or not ready yet", {"Retry-After": "5"})
        return Health(status="ok")

    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    @app.get("/metrics", tags=["service"], dependencies=guard, response_class=Response,
             responses={**text, **refusals(*statuses)})  # fmt: skip
    async def told() -> Response:
        """Counts and times, in Prometheus' text format."""
        return Response(metrics.text(), media_type=metrics.content_type)

    _explain(app)
    app.add_middleware(Around, metrics=metrics)
    return app


def _explain(app: FastAPI) -> None:
    """Every refusal is one line of JSON."""

    def refused(status: int, line: str, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": line}, status, headers)

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> JSONResponse:
        return refused(error.status, error.line, error.headers)

    @app.exception_handler(LeadlineError)
    async def mistake(_: Request, error: LeadlineError) -> JSONResponse:
        return refused(422, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        what = "no such option" if first["type"] == "extra_forbidden" else first["msg"][0].lower() + first["msg"][1:]
        return refused(422, f"{first['loc'][-1]}: {what}")

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return refused(error.status_code, str(error.detail).lower(), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return refused(500, "something went wrong here; the server's log says what")


class Around:
    """Counts and times each request, and adds headers that keep a browser safe."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(SAFE)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            # The route, not the address: clients must not decide how many counters there are.
            route: Callable[..., Any] | None = scope.get("route")
            name = getattr(route, "path", "none")
            self.metrics.requests.labels(name, status).inc()
            self.metrics.seconds.labels(name).observe(time.perf_counter() - began)
