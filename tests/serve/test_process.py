"""A real server in a process of its own: what only sockets and signals show."""

from __future__ import annotations

import json
import socket
import threading
import time
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from common.commands import run
from common.served import client_of, ended, serving
from leadline.io.video import write_video

PATIENT = ("--limits.idle_seconds", "1", "--limits.queue", "1", "--grace", "30")


@pytest.fixture(scope="module")
def served(bright_teacher, tmp_path_factory):
    with serving(bright_teacher, tmp_path_factory.mktemp("spool"), *PATIENT) as served:
        yield served


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def head(length: int) -> bytes:
    return f"POST /v1/depth HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode()


def test_a_body_that_stops_is_ended_and_its_place_given_back(served, photo):
    with connected(served.url) as slow:
        slow.sendall(head(len(photo)) + photo[:10])
        with httpx.Client(base_url=served.url) as client:
            while (full := client.post("/v1/depth", content=photo)).status_code == 200:
                pass  # the slow one is not noticed yet
            assert full.status_code == 429
            assert int(full.headers["retry-after"]) >= 1
            answer = slow.recv(1000)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"the body came too slowly" in answer
            assert client.post("/v1/depth", content=photo).status_code == 200
    assert served.leftovers() == []


def test_a_body_that_is_cut_off_is_forgotten(served, photo):
    with connected(served.url) as cut:
        cut.sendall(head(len(photo)) + photo[:10])
    with httpx.Client(base_url=served.url) as client:
        for _ in range(200):
            if client.post("/v1/depth", content=photo).status_code == 200:
                break
            time.sleep(0.05)
        else:
            pytest.fail("its place is still taken")


@pytest.mark.parametrize("said", [b"", b"POST /v1/dep", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_a_connection_without_a_request_is_not_kept(served, said):
    with connected(served.url) as quiet:
        quiet.sendall(said)
        assert quiet.recv(100) == b""


def test_sigterm_finishes_what_was_accepted_and_keeps_what_was_promised(bright_teacher, photo, clip, tmp_path):
    spool = tmp_path / "spool"
    long = write_video(tmp_path / "long.mp4", 10, (np.full((96, 128, 3), n % 255, np.uint8) for n in range(400)))
    with serving(bright_teacher, spool, "--grace", "5", "--limits.idle_seconds", "20") as served:
        with httpx.Client(base_url=served.url, timeout=60) as client:
            jobs = [client.post("/v1/video", content=path.read_bytes()).json()["id"] for path in (long, clip)]
            while client.get(f"/v1/video/{jobs[0]}").json()["state"] == "waiting":
                time.sleep(0.05)
        with connected(served.url) as flying:
            flying.sendall(head(len(photo)) + photo[:-5])
            answers = []
            listener = threading.Thread(target=lambda: answers.append(flying.makefile("rb").read()))
            listener.start()
            time.sleep(0.5)  # its head has surely arrived
            ended_with = []
            end = threading.Thread(target=lambda: ended_with.append(served.terminate()))
            end.start()
            for _ in range(200):  # nobody new is let in
                try:
                    connected(served.url).close()
                    time.sleep(0.05)
                except OSError:
                    break
            else:
                pytest.fail("it still accepts connections")
            flying.sendall(photo[-5:])
            listener.join(30)
            assert answers[0].startswith(b"HTTP/1.1 200 OK")
            end.join(60)
            assert ended_with == [0]
    states = {file.parent.name: json.loads(file.read_text())["state"] for file in spool.glob("jobs/*/job.json")}
    assert set(states) == set(jobs)
    assert states[jobs[1]] == "waiting"
    assert not (spool / "passing").exists()
    with client_of(bright_teacher, spool) as client:
        for job, frames in zip(jobs, (400, 12), strict=True):
            said = ended(client, job)
            assert (said["state"], said["frames_done"]) == ("done", frames)


def test_a_killed_server_loses_no_promise_and_its_job_no_orphan(bright_teacher, clip, tmp_path):
    with serving(bright_teacher, tmp_path) as served:
        with httpx.Client(base_url=served.url, timeout=60) as client:
            job = client.post("/v1/video", content=clip.read_bytes()).json()["id"]
        served.process.kill()
        served.process.wait()
    with client_of(bright_teacher, tmp_path) as client:
        assert ended(client, job)["state"] == "done"


def test_the_token_of_the_environment(bright_teacher, tmp_path):
    with serving(bright_teacher, tmp_path, LEADLINE_TOKEN="secret") as served:
        assert httpx.get(f"{served.url}/v1/model").status_code == 401
        assert httpx.get(f"{served.url}/v1/model", headers={"authorization": "Bearer secret"}).status_code == 200
        assert served.terminate() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--port", "70000"], 2, "port: 70000 is none; 0 to 65535"),
        (["--batch", "0"], 2, "batch, wait, grace: at least 1, 0 and 0"),
        (["--limits.queue", "0"], 2, "limits.queue: must be above 0, not 0"),
        (["--limits.qeueue", "3"], 2, "did you mean '--limits.queue'"),
        (["--model", "missing.safetensors"], 1, "missing.safetensors"),
        (["--intrinsics", "missing.yaml"], 1, "missing.yaml: no such camera file"),
    ],
)
def test_wrong_options_are_one_line(arguments, code, line, capsys, tmp_path):
    got, _, err = run(capsys, "serve", "--port", "0", "--spool", tmp_path / "spool", *arguments)
    assert (got, len(err.strip().splitlines())) == (code, 1)
    assert line in err


def test_a_port_that_is_taken(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run(capsys, "serve", "--port", port, "--spool", tmp_path)
    assert code == 2
    assert f"cannot listen at 127.0.0.1:{port}" in err
