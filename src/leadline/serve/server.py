"""The process: a socket, signals, an end that keeps promises."""

from __future__ import annotations

import asyncio
import signal
import socket

import uvicorn
from fastapi import FastAPI

from leadline.errors import ConfigError
from leadline.serve.connection import PatientProtocol

BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: nobody can listen there.
    """
    if not 0 <= port < 1 << 16:
        raise ConfigError(f"port: {port} is none; 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"host, port: cannot listen at {host}:{port} ({error.strerror})") from None


def run(app: FastAPI, listening: socket.socket, *, grace: float, patience: float, log: bool) -> None:
    """Serve until SIGTERM or SIGINT: then no connection is accepted any more, and what was is finished.

    Args:
        app: what is served.
        listening: where.
        grace: seconds requests in hand get to finish.
        patience: seconds a connection is kept without a request.
        log: say each request.
    """
    protocol = type("Patient", (PatientProtocol,), {"patience": patience})
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="on", backlog=BACKLOG, timeout_graceful_shutdown=max(1, round(grace)),
        timeout_keep_alive=5, log_level="info" if log else "warning", access_log=log, server_header=False,
    )  # fmt: skip
    # uvicorn raises the signal again once all is done: then there is nothing left to end.
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
