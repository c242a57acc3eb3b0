"""The JSON the service speaks, as its description in OpenAPI says."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from leadline.serve.answering import Format

JobState = Literal["waiting", "running", "done", "failed"]


class DepthQuery(BaseModel):
    """How the depth of an image is wanted; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")

    format: Format = Field(
        "png16", description="png16: 16 bits, with kind, unit and camera inside; npz: exact; colour: a picture; "
        "ply: a point cloud, where the model's kind allows one"
    )  # fmt: skip
    fov: float | None = Field(None, gt=0, lt=180, description="horizontal field of view of the camera, in degrees")
    fx: float | None = Field(None, gt=0, le=1e6, description="focal length in pixels; stands before fov")
    fy: float | None = Field(None, gt=0, le=1e6, description="by default fx")
    cx: float | None = Field(None, ge=-1e6, le=1e6, description="principal point in pixels, by default the middle")
    cy: float | None = Field(None, ge=-1e6, le=1e6, description="likewise")


class VideoQuery(BaseModel):
    """What is wanted of a video; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")

    depth: bool = Field(False, description="also keep every frame's depth map, as .npz files in a zip")
    fov: float | None = Field(None, gt=0, lt=180, description="horizontal field of view of the camera, in degrees")


class ModelCard(BaseModel):
    """What the model is, and what may be done with it."""

    name: str
    kind: str = Field(description="quantity, and what it is known up to, such as metric-depth")
    unit: str = Field(description="of the values; arbitrary unless the kind is metric")
    licence: str
    note: str = Field(description="what to know before it is trusted; may be empty")
    points: bool = Field(description="whether its maps give point clouds, once the camera is known")
    needs_camera: bool = Field(description="whether its depth depends on the focal length, which must then be told")
    input_height: int = Field(description="rows the network sees of a 640x480 image")
    input_width: int = Field(description="columns likewise")
    formats: list[Format]
    limits: dict[str, float]


class VideoJob(BaseModel):
    """A video's way."""

    id: str = Field(pattern="^[0-9a-f]{32}$")
    state: JobState
    frames_done: int
    frames: int | None = Field(description="by the video's header, an estimate; null where it does not say")
    progress: float | None = Field(description="part that is done, 0 to 1; null where that is not known")
    created: float = Field(description="seconds since 1970")
    expires: float | None = Field(description="when it is forgotten; null while it is promised")
    problem: str = Field(description="why it failed, or what is missing of what was done")
    results: dict[str, str] = Field(description="where the results are: colour, and depth if it was asked for")


class VideoJobs(BaseModel):
    """Those of one token."""

    jobs: list[VideoJob]


class Health(BaseModel):
    """Whether all is well."""

    status: Literal["ok"]
