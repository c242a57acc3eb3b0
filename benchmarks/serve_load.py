"""What `leadline serve` stands: many clients at once, with batching and without.

    python benchmarks/serve_load.py [--model leadline-tract] [--clients 200] [--seconds 60] [--batch 8] [--rounds 1]

A real server in a process of its own, on loopback. Each client sends one photograph after the other (--image, or a
640x480 JPEG that is made) and waits as long as a 429 tells it to. Batching and --batch 1 take turns in each round.
Printed are counts by status, answers a second, p50 and p99 of the answered ones, and of the network alone, by the
server's metrics, milliseconds an image: the rest is decoding, encoding and HTTP. Anything but 200 and 429 ends it with
exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from leadline.io.atomic import write_json


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="leadline-tract")
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--most", type=int, default=20_000, help="requests of one run")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--format", default="png16", choices=["png16", "npz", "colour"])
    parser.add_argument("--image", type=Path)
    parser.add_argument("--out", type=Path, help="the same figures as JSON")
    options = parser.parse_args()
    image = options.image.read_bytes() if options.image else photograph()
    runs: dict[int, list[dict[str, Any]]] = {options.batch: [], 1: []}
    for _ in range(options.rounds):
        for batch, done in runs.items():
            with server(options, batch) as url:
                found = asyncio.run(load(url, image, options))
            done.append(found)
            print(f"batch {batch}: {told(found)}", flush=True)
    together, alone = (statistics.median(run["per_second"] for run in runs[batch]) for batch in (options.batch, 1))
    print(f"{os.cpu_count()} cores; batching: {together / alone:.2f} times the answers a second")
    if options.out:
        write_json(
            options.out, {"cores": os.cpu_count(), "options": vars(options), "runs": runs} | {"gain": together / alone}
        )
    bad = {status for done in runs.values() for run in done for status in run["statuses"]} - {"200", "429"}
    if bad:
        print(f"answers that must not be: {', '.join(sorted(bad))}", file=sys.stderr)
    return 1 if bad else 0


def photograph() -> bytes:
    """A JPEG of 640x480 pixels that compresses like a photograph."""
    y, x = np.mgrid[:480, :640]
    noise = np.random.default_rng(0).normal(0, 6, (480, 640, 3))
    shade = 128 + 80 * np.sin(x / 90)[..., None] * np.cos(y / 70)[..., None]
    file = io.BytesIO()
    Image.fromarray(np.clip(shade + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


@contextlib.contextmanager
def server(options: argparse.Namespace, batch: int) -> Iterator[str]:
    """A server, and its address."""
    with tempfile.TemporaryDirectory() as spool:
        command = [
            sys.executable, "-c", "import sys; from leadline.cli import main; sys.exit(main())", "serve", "--port", "0",
            "--model", options.model, "--runtime", options.runtime, "--batch", str(batch), "--spool", spool,
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield next(line.split()[-1] for line in process.stdout if " at http://" in line)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


async def load(url: str, image: bytes, options: argparse.Namespace) -> dict[str, Any]:
    """Clients until time is over or the most requests are sent."""
    statuses: Counter[str] = Counter()
    times: list[float] = []
    bounds = httpx.Limits(max_connections=options.clients, max_keepalive_connections=options.clients)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=bounds) as client:
        for _ in range(3):
            await client.post("/v1/depth", params={"format": options.format}, content=image)
        began = time.perf_counter()

        async def one() -> None:
            while time.perf_counter() - began < options.seconds and statuses.total() < options.most:
                sent = time.perf_counter()
                try:
                    response = await client.post("/v1/depth", params={"format": options.format}, content=image)
                except httpx.HTTPError as error:
                    statuses[type(error).__name__] += 1
                    continue
                statuses[str(response.status_code)] += 1
                if response.status_code == 200:
                    times.append(time.perf_counter() - sent)
                elif response.status_code == 429:
                    await asyncio.sleep(float(response.headers["retry-after"]))

        await asyncio.gather(*(one() for _ in range(options.clients)))
        spent = time.perf_counter() - began
        metrics = dict(
            re.findall(
                r"^(leadline_(?:batch|network)_\w+_(?:sum|count)) (\S+)$", (await client.get("/metrics")).text, re.M
            )
        )
    p50, p99 = np.percentile(times, [50, 99]) if times else (float("nan"),) * 2
    return {
        "statuses": dict(statuses), "seconds": spent, "per_second": len(times) / spent, "p50": p50, "p99": p99,
        "images_a_batch": float(metrics["leadline_batch_images_sum"]) / float(metrics["leadline_batch_images_count"]),
        "network_ms_an_image": 1000 * float(metrics["leadline_network_seconds_sum"])
        / float(metrics["leadline_batch_images_sum"]),
    }  # fmt: skip


def told(run: dict[str, Any]) -> str:
    """A line for people."""
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(run["statuses"].items()))
    return (
        f"{statuses} in {run['seconds']:.0f} s; {run['per_second']:.1f} answers/s, p50 {run['p50']:.2f} s, "
        f"p99 {run['p99']:.2f} s; {run['images_a_batch']:.1f} images a batch, "
        f"network {run['network_ms_an_image']:.1f} ms an image"
    )


if __name__ == "__main__":
    sys.exit(main())
