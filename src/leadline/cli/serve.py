"""leadline serve: a service over HTTP and a page for the browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from leadline.checkpoint import caveat
from leadline.cli import BUNDLED, make_parser, parse
from leadline.errors import ConfigError, InputError

if TYPE_CHECKING:
    from leadline.serve.limits import Limits

#: The variable that holds a token where the command line does not: other users see command lines.
TOKEN = "LEADLINE_TOKEN"


def main(arguments: list[str]) -> int:
    """Run the command."""
    from leadline.serve.limits import Limits

    parser = make_parser("serve")
    tokens = 'what clients must bring as "Authorization: Bearer TOKEN"; by default those in LEADLINE_TOKEN, if any'
    parser.add_argument("--token", nargs="+", help=tokens)
    parser.add_argument("--log", action="store_true", help="say each request")
    parser.add_function_arguments(serve, skip={"token", "log", "limits"})
    parser.add_class_arguments(Limits, "limits", as_group=True)
    config = parse(parser, arguments)
    config = parser.instantiate_classes(config)
    return serve(**config.as_dict() | {"limits": config.limits})


def serve(
    model: str = BUNDLED,
    host: str = "127.0.0.1",
    port: int = 8000,
    runtime: str = "torch",
    device: str = "cpu",
    threads: int | None = None,
    batch: int = 8,
    wait: float = 5.0,
    token: list[str] | None = None,
    spool: Path | None = None,
    intrinsics: Path | None = None,
    fov: float | None = None,
    grace: float = 30.0,
    log: bool = False,
    card: Path | None = None,
    kind: str | None = None,
    *,
    limits: Limits,
) -> int:
    """Serve a model until SIGTERM or Ctrl-C; what was accepted by then is finished.

    Args:
        model: see ``leadline predict``.
        host: address to listen at; 0.0.0.0 for other machines, behind a proxy that speaks TLS.
        port: to listen at; 0 for any that is free.
        runtime: ``torch``, ``onnx`` or ``openvino``.
        device: of torch, such as cpu or cuda.
        threads: most threads of the network.
        batch: images of one size that are run together at most.
        wait: milliseconds an image waits for others to run with.
        token: what clients must bring as "Authorization: Bearer TOKEN", one or several; by default those in the
            variable LEADLINE_TOKEN, separated by blanks; without any, anyone may ask.
        spool: folder of video jobs, which outlive the server; by default one in leadline's cache.
        intrinsics: camera file (3x3 matrix, YAML or JSON) for images that say nothing of theirs.
        fov: horizontal field of view in degrees, likewise.
        grace: seconds that requests, and then the running video job, get at the end; a job that needs longer is begun
            anew by the next server with this spool.
        log: say each request.
        card: card of a network file, where none lies beside it.
        kind: kind of a transformers model leadline does not know.
        limits: what is taken on.

    Returns:
        The exit code.
    """
    if batch < 1 or wait < 0 or grace < 0:
        raise ConfigError(f"batch, wait, grace: at least 1, 0 and 0, not {batch}, {wait} and {grace}")
    if intrinsics is not None and not Path(intrinsics).is_file():
        raise InputError(f"{intrinsics}: no such camera file")
    try:
        import fastapi  # noqa: F401 - asked for here, for the line below
        import uvicorn  # noqa: F401
    except ImportError:
        raise ConfigError("serve: FastAPI and uvicorn are needed; pip install 'leadline[serve]'") from None
    import leadline
    from leadline.io.cache import cache_folder
    from leadline.runtime.predictor import Lens
    from leadline.serve.app import Service, create_app
    from leadline.serve.server import listen, run
    from leadline.serve.spool import Spool

    lens = {"camera": None if intrinsics is None else str(intrinsics), "fov": fov}
    load = {
        "model": model, "runtime": runtime, "device": device, "threads": threads,
        "card": None if card is None else str(card), "kind": kind,
    }  # fmt: skip
    with listen(host, port) as listening:
        predictor = leadline.load(**load)  # type: ignore[arg-type]
        predictor.lens = Lens(**lens)  # type: ignore[arg-type]
        jobs = Spool(Path(spool) if spool is not None else cache_folder() / "serve")
        try:
            service = Service(
                load, lens, caveat(model), batch, wait / 1000, threads,
                token or os.environ.get(TOKEN, "").split(), limits, grace,
            )  # fmt: skip
            app = create_app(predictor, jobs, service)
            address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
            print(
                f"{predictor.model.name} ({predictor.model.kind}, unit {predictor.model.unit}) at {address}", flush=True
            )
            run(app, listening, grace=grace, patience=limits.idle_seconds, log=log)
        finally:
            jobs.close()
    return 0
