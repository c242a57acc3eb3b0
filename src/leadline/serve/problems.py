"""What is told to a client whose request cannot be answered: a status and one line."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field


class Refusal(BaseModel):
    """Why a request was not answered."""

    error: str = Field(description="one line that says what is wrong, and what would be right")


class Problem(Exception):
    """A request cannot be answered.

    Args:
        status: of HTTP.
        line: for the client; it never names a file of this machine.
        headers: to send along.
    """

    def __init__(self, status: int, line: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(line)
        self.status, self.line, self.headers = status, line, headers or {}


class Overloaded(Problem):
    """Too much is in hand already.

    Args:
        line: what there is too much of.
        seconds: after which to try again.
    """

    def __init__(self, line: str, seconds: float) -> None:
        super().__init__(429, line, {"Retry-After": str(max(1, math.ceil(seconds)))})


#: What the statuses mean here, for the description of the service.
MEANINGS = {
    400: "the body is no form, cut off, or empty",
    401: "a token is needed, and this is none",
    403: "not given to anyone without a token",
    404: "there is nothing here, or nothing of yours",
    408: "the body came too slowly",
    409: "not finished yet, or failed",
    413: "too many bytes, pixels, frames or seconds",
    422: "not a picture or a video that can be read, an option that cannot be, or a format that this model's kind of "
    "depth does not allow",
    429: "too much in hand; Retry-After says when to come again",
    503: "stopping, not ready, or not done in time",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, object]]:
    """The description of these statuses, as FastAPI takes it."""
    return {status: {"model": Refusal, "description": MEANINGS[status]} for status in statuses}
