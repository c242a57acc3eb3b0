"""Videos that were promised: run one after the other, each in a process of its own, through ends and new starts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from leadline.serve.limits import Limits
from leadline.serve.problems import Overloaded, Problem
from leadline.serve.spool import SENT, Job, Spool, line

log = logging.getLogger("leadline.serve")

#: A job whose server ended without a word so often is what ended it.
ATTEMPTS = 3
#: Seconds between two looks at what has expired.
SWEEP = 30.0
#: Seconds a look into a video may take.
PROBE_SECONDS = 60.0
#: After so many seconds a client that was refused may try again.
RETRY = 10.0


class Jobs:
    """The jobs of a server; use it as an async context manager.

    Args:
        spool: where they are kept.
        limits: of their number, size and time.
        options: what :func:`leadline.serve.work.work` is told of the model: ``load``, ``batch``, ``lens``.
        grace: seconds the running job gets at the end to finish; else the next server with this spool begins it anew.
        ended: is told the state of each job that comes to an end.
    """

    def __init__(
        self,
        spool: Spool,
        limits: Limits,
        options: dict[str, Any],
        grace: float = 30.0,
        ended: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.spool, self.limits, self.options, self.grace, self.ended = spool, limits, options, grace, ended
        self._jobs = {job.id: job for job in spool.jobs()}
        self._coming = 0
        self._changed = asyncio.Event()
        self._closing = False
        self._process: asyncio.subprocess.Process | None = None
        self._running: Job | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for job in self._jobs.values():
            if job.state == "running":  # the server was killed
                job.state = "waiting"
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._sweep())]
        return self

    async def __aexit__(self, *_: object) -> None:
        """The running job gets its grace; all others wait on disk."""
        self._closing = True
        self._changed.set()
        work, sweep = self._tasks
        sweep.cancel()
        if self._running is not None:
            log.info("finishing job %s, for at most %g s", self._running.id, self.grace)
        await asyncio.wait([work], timeout=self.grace)
        self._kill()
        await asyncio.gather(work, sweep, return_exceptions=True)

    @property
    def pending(self) -> int:
        """Jobs that wait or run."""
        return sum(job.state in ("waiting", "running") for job in self._jobs.values())

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place for a job, taken before its bytes are read.

        Raises:
            Overloaded: all are taken.
        """
        if self.pending + self._coming >= self.limits.jobs:
            raise Overloaded(f"{self.pending + self._coming} videos are in hand, which is the most", RETRY)
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def probe(self, sent: Path) -> int | None:
        """The frames a video announces, or None.

        Raises:
            Problem: 413 for one too long, 422 for one that cannot be read.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "leadline.serve.probe", str(sent), str(self.limits.video_megapixels),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                said, _ = await process.communicate()
            found = json.loads(said)
        except (TimeoutError, ValueError):
            raise Problem(422, "video: cannot be read") from None
        finally:
            _kill(process)
            await process.wait()
        if "error" in found:
            raise Problem(found["status"], found["error"])
        frames, seconds = found["frames"], found["seconds"]
        if seconds is not None and seconds > self.limits.video_minutes * 60:
            raise Problem(413, f"video: {seconds:.0f} s; at most {self.limits.video_minutes * 60:g} s are taken")
        if frames is not None and frames > self.limits.video_frames:
            raise Problem(413, f"video: {frames} frames; at most {self.limits.video_frames} are taken")
        return frames

    def promise(self, sent: Path, owner: str, depth: bool, fov: float | None, frames: int | None) -> Job:
        """Take a job on; see :meth:`leadline.serve.spool.Spool.promise`."""
        job = self.spool.promise(sent, owner, depth, fov, frames)
        self._jobs[job.id] = job
        self._changed.set()
        return job

    def get(self, id: str, owner: str) -> Job:
        """The job of that name, if it is that owner's.

        Raises:
            Problem: 404, there is none.
        """
        job = self._jobs.get(id)
        if job is None or job.owner != owner or self.expires(job) < time.time():
            raise Problem(404, "no such job, or it has expired")
        return job

    def of(self, owner: str) -> list[Job]:
        """The jobs of an owner, oldest first."""
        return [job for job in self._jobs.values() if job.owner == owner and self.expires(job) >= time.time()]

    def expires(self, job: Job) -> float:
        """When a job is forgotten, in seconds since the epoch; never, while it is promised."""
        return float("inf") if job.finished is None else job.finished + self.limits.keep_hours * 3600

    def cancel(self, job: Job) -> None:
        """Forget a job, wherever it is."""
        del self._jobs[job.id]
        if job is self._running:
            self._kill()  # whoever reads what it says removes its files
        else:
            self.spool.forget(job)

    def _kill(self) -> None:
        if self._process is not None:
            _kill(self._process)

    async def _work(self) -> None:
        while not self._closing:
            job = next((job for job in self._jobs.values() if job.state == "waiting"), None)
            if job is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            self._running = job
            try:
                await self._run(job)
            except Exception:
                log.exception("job %s", job.id)
                self._end(job, "failed", "something went wrong here")
            finally:
                self._running = self._process = None
            if job.id not in self._jobs:
                self.spool.forget(job)

    async def _run(self, job: Job) -> None:
        if job.attempts >= ATTEMPTS:
            self._end(job, "failed", f"begun {job.attempts} times, and each time the server ended")
            return
        job.state, job.done, job.attempts = "running", 0, job.attempts + 1
        self.spool.save(job)
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "leadline.serve.work", str(self.spool.of(job)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        if job.id not in self._jobs:  # cancelled while the process was made
            _kill(process)
        lens = self.options["lens"] if job.fov is None else {"fov": job.fov}
        process.stdin.write(line(**{**self.options, "lens": lens}, depth=job.depth, most=self.limits.video_frames))
        last: dict[str, Any] = {}
        try:
            async with asyncio.timeout(self.limits.job_minutes * 60):
                async for said in process.stdout:
                    last = json.loads(said)
                    job.done = last.get("frames", job.done)
                    if "frames" not in last:  # its last word
                        break
                await process.wait()
        except TimeoutError:
            last = {"error": f"not done after {self.limits.job_minutes:g} minutes"}
        finally:
            self._kill()
            await process.wait()
        if job.id not in self._jobs:
            return
        if "done" in last:
            job.done = last["done"]
            self._end(job, "done", last["problem"])
        elif "error" in last:
            self._end(job, "failed", last["error"])
        elif self._closing:
            job.state, job.attempts = "waiting", job.attempts - 1
            self.spool.save(job)
        else:
            self._end(job, "failed", f"the process that looked at it broke down (exit code {process.returncode})")

    def _end(self, job: Job, state: Any, problem: str) -> None:
        if job.id not in self._jobs:
            return
        job.state, job.problem, job.finished = state, problem, time.time()
        self.spool.save(job)
        (self.spool.of(job) / SENT).unlink(missing_ok=True)
        self.ended(state)

    async def _sweep(self) -> None:
        while True:
            for job in [job for job in self._jobs.values() if self.expires(job) < time.time()]:
                self.cancel(job)
            await asyncio.sleep(SWEEP)


def _kill(process: asyncio.subprocess.Process) -> None:
    """End a process that leads a session of its own, with all it started."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
