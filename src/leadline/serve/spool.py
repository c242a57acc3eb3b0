"""Jobs on disk: what was promised is there after any end of the process, and nothing else is."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock, Timeout

from leadline.errors import ConfigError, InputError
from leadline.io.atomic import check_folder, write_json, writing_folder
from leadline.io.reading import read_json

State = Literal["waiting", "running", "done", "failed"]
NAME = re.compile(r"[0-9a-f]{32}")
#: Files of a job's folder: what was sent, and what was made of it.
SENT, VIDEO, DEPTH = "sent", "video.mp4", "depth.zip"
_STATE = "job.json"
#: Seconds that a server which was killed may still hold its spool: a process it was just starting has all its files
#: open until it becomes another program.
LETTING_GO = 3.0


@dataclass
class Job:
    """A video that somebody was promised the depth of.

    Args:
        id: 32 hexadecimal digits that nobody can guess.
        owner: see :meth:`leadline.serve.access.Access.owner`.
        depth: whether the maps are wanted beside the colour video.
        fov: horizontal field of view in degrees, as the client says, or None.
        frames: by the header, an estimate, or None.
        created: seconds since the epoch.
        state: where it is.
        done: frames that are done.
        attempts: how often it was begun.
        finished: seconds since the epoch, once it is done or has failed.
        problem: why it failed, or what is missing of what was done.
    """

    id: str
    owner: str
    depth: bool
    fov: float | None
    frames: int | None
    created: float
    state: State = "waiting"
    done: int = 0
    attempts: int = 0
    finished: float | None = None
    problem: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.id) or self.state not in get_args(State):
            raise ValueError(f"no job: {self.id!r}, {self.state!r}")


class Spool:
    """The folder of jobs of one server: ``jobs/ID`` for each, ``passing`` for what is being sent or answered.

    Args:
        folder: made where it is not there, for this user only.

    Raises:
        ConfigError: another server uses it.
        InputError: it cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder, self.passing = folder.resolve(), folder.resolve() / "passing"
        self._lock = FileLock(self.folder / "lock")
        try:
            self._lock.acquire(timeout=LETTING_GO)
        except Timeout:
            raise ConfigError(f"spool: {folder} is used by another server; give --spool another folder") from None
        shutil.rmtree(self.passing, ignore_errors=True)  # of a server that was killed
        self.passing.mkdir()
        (self.folder / "jobs").mkdir(exist_ok=True)

    def close(self) -> None:
        """Let another server have it."""
        shutil.rmtree(self.passing, ignore_errors=True)
        self._lock.release()

    def free(self) -> int:
        """Bytes left on the disk."""
        return shutil.disk_usage(self.folder).free

    def passing_file(self) -> Path:
        """A new name for a file that is on its way."""
        return self.passing / secrets.token_hex(16)

    def of(self, job: Job) -> Path:
        """The folder of a job."""
        return self.folder / "jobs" / job.id

    def promise(self, sent: Path, owner: str, depth: bool, fov: float | None, frames: int | None) -> Job:
        """A new job; when this returns it is on disk whole, and ``sent`` was moved into it.

        Args:
            sent: the video, of :meth:`passing_file`.
            owner: whose it is.
            depth: see :class:`Job`.
            fov: likewise.
            frames: likewise.
        """
        job = Job(secrets.token_hex(16), owner, depth, fov, frames, time.time())
        with writing_folder(self.of(job)) as folder:
            sent.replace(folder / SENT)
            write_json(folder / _STATE, asdict(job))
        _sync(self.of(job).parent)
        return job

    def save(self, job: Job) -> None:
        """Keep what is known of a job."""
        write_json(self.of(job) / _STATE, asdict(job))

    def forget(self, job: Job) -> None:
        """Remove a job with all it has."""
        shutil.rmtree(self.of(job), ignore_errors=True)

    def jobs(self) -> list[Job]:
        """What earlier servers promised, oldest first; remains of what was never promised are removed."""
        found = []
        for folder in (self.folder / "jobs").iterdir():
            try:
                found.append(Job(**read_json(folder / _STATE)))
            except (InputError, TypeError, ValueError):
                shutil.rmtree(folder, ignore_errors=True)
        return sorted(found, key=lambda job: job.created)


def _sync(folder: Path) -> None:
    """See that the names in a folder outlive a power cut, where the system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def line(**entries: object) -> bytes:
    """What a job's process says, one line of JSON."""
    return json.dumps(entries).encode() + b"\n"
