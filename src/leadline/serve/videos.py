"""The routes of videos: /v1/video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse

from leadline.serve.access import Access
from leadline.serve.images import BINARY, body
from leadline.serve.jobs import RETRY, Jobs
from leadline.serve.limits import Limits
from leadline.serve.problems import Problem, refusals
from leadline.serve.receiving import receive
from leadline.serve.schemas import VideoJob, VideoJobs, VideoQuery
from leadline.serve.spool import DEPTH, VIDEO, Job

Id = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="as the answer to the video said")]
RESULTS = {"colour": (VIDEO, "video/mp4"), "depth": (DEPTH, "application/zip")}


def router(jobs: Jobs, access: Access, limits: Limits, needs_camera: bool, statuses: list[int]) -> APIRouter:
    """The routes.

    Args:
        jobs: what was promised.
        access: who may ask, and whose a job is.
        limits: of a video.
        needs_camera: a video without a field of view is refused.
        statuses: that may be answered before a route is reached.
    """
    routes = APIRouter(prefix="/v1/video", tags=["videos"])

    def shown(job: Job) -> VideoJob:
        done = job.state == "done"
        progress = 1.0 if done else min(1.0, job.done / job.frames) if job.frames else None
        results = {"colour": f"/v1/video/{job.id}/colour"} if done else {}
        if done and job.depth:
            results["depth"] = f"/v1/video/{job.id}/depth"
        expires = None if job.finished is None else jobs.expires(job)
        return VideoJob(
            id=job.id, state=job.state, frames_done=job.done, frames=job.frames, progress=progress,
            created=job.created, expires=expires, problem=job.problem, results=results,
        )  # fmt: skip

    @routes.post(
        "",
        status_code=202,
        summary="Promise the depth of a video",
        responses=refusals(*statuses, 400, 408, 413, 422, 429, 503),
        openapi_extra=body("a video: MP4, MOV, Matroska, WebM, AVI, MPEG", "video/*", "application/octet-stream"),
    )
    async def promise(request: Request, response: Response, query: Annotated[VideoQuery, Query()]) -> VideoJob:
        """Take a video on: the answer names a job, which is then done even if this server ends, once there is one
        again. The video is the body, or the field ``file`` of a form; no name given with it is used."""
        if needs_camera and query.fov is None:
            raise Problem(422, "fov: this model's depth depends on the camera: give fov=DEGREES")
        with jobs.place():
            if jobs.spool.free() < limits.free_gb * 1e9 + limits.video_mb * 1e6:
                raise Problem(503, "the disk is full", {"Retry-After": f"{RETRY:.0f}"})
            sent = jobs.spool.passing_file()
            try:
                with sent.open("xb") as file:
                    await receive(
                        request, file, round(limits.video_mb * 1e6), limits.video_upload_seconds, limits.idle_seconds
                    )
                frames = await jobs.probe(sent)
                job = jobs.promise(sent, access.owner(request), query.depth, query.fov, frames)
            finally:
                sent.unlink(missing_ok=True)
        response.headers["Location"] = f"/v1/video/{job.id}"
        return shown(job)

    @routes.get("", summary="Your jobs", responses=refusals(*statuses, 403))
    async def listed(request: Request) -> VideoJobs:
        """The jobs of the token that asks. Where the server knows no tokens there is no list: a job is known to those
        who know its name."""
        if access.open:
            raise Problem(403, "a list of jobs needs a server with tokens: leadline serve --token")
        return VideoJobs(jobs=[shown(job) for job in jobs.of(access.owner(request))])

    @routes.get("/{id}", summary="How far a job is", responses=refusals(*statuses, 404, 422))
    async def state(request: Request, id: Id) -> VideoJob:
        """Its state and progress; once it is done, where the results are."""
        return shown(jobs.get(id, access.owner(request)))

    @routes.delete("/{id}", status_code=204, summary="Cancel and forget a job", responses=refusals(*statuses, 404, 422))
    async def cancel(request: Request, id: Id) -> None:
        """Whether it waits, runs or is done, it and all it made are removed."""
        jobs.cancel(jobs.get(id, access.owner(request)))

    def result(request: Request, id: str, what: str) -> FileResponse:
        job = jobs.get(id, access.owner(request))
        name, media = RESULTS[what]
        if job.state != "done":
            raise Problem(409, f"the job is {job.state}{': ' if job.problem else ''}{job.problem}")
        file: Path = jobs.spool.of(job) / name
        if not file.is_file():
            raise Problem(404, "this job was asked for the colour video only")
        return FileResponse(file, media_type=media, filename=name, content_disposition_type="inline")

    @routes.get("/{id}/colour", summary="The colour video", response_class=FileResponse, responses={
        **refusals(*statuses, 404, 409, 422), 200: _file("each frame beside its depth in colours", "video/mp4"),
        206: _file("a part of it", "video/mp4"), 416: {"description": "no such part"},
    })  # fmt: skip
    async def colour(request: Request, id: Id) -> FileResponse:
        """Each frame beside its depth in colours, with one range of colours over all of it, as MP4."""
        return result(request, id, "colour")

    @routes.get("/{id}/depth", summary="The depth maps", response_class=FileResponse, responses={
        **refusals(*statuses, 404, 409, 422), 200: _file("an .npz file a frame", "application/zip"),
        206: _file("a part of it", "application/zip"), 416: {"description": "no such part"},
    })  # fmt: skip
    async def depth(request: Request, id: Id) -> FileResponse:
        """Every frame's depth map, as .npz files in a zip, if they were asked for."""
        return result(request, id, "depth")

    return routes


def _file(what: str, media: str) -> dict[str, object]:
    return {"description": what, "content": {media: {"schema": BINARY}}}
