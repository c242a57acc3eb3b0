"""A real `leadline serve` on loopback, in a process of its own, and the same application within this one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from fastapi.testclient import TestClient

import leadline
from leadline.serve.app import Service, create_app
from leadline.serve.spool import Spool


class Served:
    """A server that runs.

    Attributes:
        url: where.
        spool: its folder.
        process: itself.
    """

    def __init__(self, url: str, spool: Path, process: subprocess.Popen) -> None:
        self.url, self.spool, self.process = url, spool, process

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def leftovers(self) -> list[Path]:
        """Files on their way."""
        return list((self.spool / "passing").glob("*"))


@contextlib.contextmanager
def serving(model: Path, spool: Path, *options: str, **environment: str) -> Iterator[Served]:
    """A server of a model, ended with the block."""
    command = [
        sys.executable, "-c", "import sys; from leadline.cli import main; sys.exit(main())", "serve", "--model",
        str(model), "--port", "0", "--spool", str(spool), *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stdout is not None
    try:
        # Lines before it may come from what it loads.
        address = next((line.split()[-1] for line in process.stdout if " at http://" in line), None)
        assert address is not None, "the server did not start"
        with httpx.Client() as client:
            for _ in range(600):
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{address}/readyz").status_code == 200:
                        break
        yield Served(address, spool, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def client_of(model: Path, spool: Path, **service: Any) -> Iterator[TestClient]:
    """A client of the application within this process, without a socket; ``client.spool`` is its spool."""
    load = {"model": str(model), "threads": 1}
    opened = Spool(spool)
    app = create_app(leadline.load(**load), opened, Service(load, **service))
    try:
        with TestClient(app, raise_server_exceptions=False) as client:
            client.spool = opened
            yield client
    finally:
        opened.close()


def ended(client: TestClient | httpx.Client, job: str, **options: Any) -> dict[str, Any]:
    """What is said of a job once it has come to an end."""
    for _ in range(1200):
        said = client.get(f"/v1/video/{job}", **options).json()
        if said["state"] in ("done", "failed"):
            return said
        time.sleep(0.05)
    raise AssertionError(f"no end: {said}")
