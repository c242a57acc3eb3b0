from __future__ import annotations

import io
import json
import time
import zipfile
from dataclasses import asdict

import numpy as np
import pytest

from common.served import client_of, ended
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError
from leadline.io.video import VideoReader, write_video
from leadline.serve.limits import Limits
from leadline.serve.probe import probe
from leadline.serve.spool import Job, Spool
from leadline.serve.work import work

CONCAT = b"ffconcat version 1.0\nfile /etc/hostname\n"
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


def test_a_job_from_promise_to_oblivion(client, clip, tmp_path):
    response = client.post("/v1/video", params={"depth": True}, content=clip.read_bytes())
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/v1/video/{job['id']}"
    assert (job["state"], job["frames"], job["results"], job["expires"]) == ("waiting", 12, {}, None)
    assert list(client.spool.passing.iterdir()) == []
    early = client.get(f"/v1/video/{job['id']}/colour")
    assert early.status_code == 409
    assert early.json()["error"].startswith("the job is ")

    done = ended(client, job["id"])
    assert (done["state"], done["frames_done"], done["progress"], done["problem"]) == ("done", 12, 1.0, "")
    assert done["expires"] > time.time()
    (tmp_path / "colour.mp4").write_bytes(client.get(done["results"]["colour"]).content)
    with VideoReader(tmp_path / "colour.mp4") as video:
        pictures = list(video)
    assert len(pictures) == 12
    assert pictures[0].shape[1] > 2 * 128  # side by side
    part = client.get(done["results"]["colour"], headers={"range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)
    with zipfile.ZipFile(io.BytesIO(client.get(done["results"]["depth"]).content)) as archive:
        assert archive.namelist() == [f"{number:06d}.depth.npz" for number in range(12)]
        archive.extractall(tmp_path)
    depth = DepthMap.load(tmp_path / "000011.depth.npz")
    assert str(depth.kind) == "scale-invariant-depth"
    assert np.allclose(depth.values, 1 / (120 / 255 + 0.05), rtol=0.05)

    folder = client.spool.folder / "jobs" / job["id"]
    assert sorted(file.name for file in folder.iterdir()) == ["depth.zip", "job.json", "video.mp4"]
    assert client.delete(f"/v1/video/{job['id']}").status_code == 204
    assert not folder.exists()
    for gone in ("", "/colour", "/depth"):
        assert client.get(f"/v1/video/{job['id']}{gone}").status_code == 404


@pytest.mark.parametrize("body", [b"no video", PLAYLIST, CONCAT, b"\x1aE\xdf\xa3" * 50])
def test_what_is_no_video_is_refused_before_anything_is_promised(client, body):
    response = client.post("/v1/video", files={"file": ("../x.mp4", body)})
    assert response.status_code == 422
    assert response.json() == {"error": "video: no video that can be read"}
    assert list(client.spool.passing.iterdir()) == []


def test_no_list_without_tokens_and_no_job_without_its_name(client):
    assert client.get("/v1/video").status_code == 403
    assert client.get(f"/v1/video/{'0' * 32}").status_code == 404
    for name in ("..%2f..%2fetc", "0" * 31, "G" * 32):
        assert client.get(f"/v1/video/{name}").status_code in (404, 422)


def test_limits_of_videos(bright_teacher, clip, tmp_path):
    for limits, status, line in [
        (Limits(video_frames=5), 413, "video: 12 frames; at most 5 are taken"),
        (Limits(video_minutes=0.01), 413, "video: 1 s; at most 0.6 s are taken"),
        (Limits(video_megapixels=0.01), 413, "video: frames of 128x96 pixels are more than 0.01 million"),
        (Limits(video_mb=0.0001), 413, "more than 0.0001 MB"),
        (Limits(free_gb=1e9), 503, "the disk is full"),
    ]:
        with client_of(bright_teacher, tmp_path, limits=limits) as client:
            response = client.post("/v1/video", content=clip.read_bytes())
            assert (response.status_code, response.json()) == (status, {"error": line})
            assert list(client.spool.passing.iterdir()) == []
            assert list((client.spool.folder / "jobs").iterdir()) == []


def test_jobs_of_another_token_are_nobodys_business(bright_teacher, clip, tmp_path):
    mine, other = ({"authorization": f"Bearer {name}"} for name in ("mine", "other"))
    with client_of(bright_teacher, tmp_path, tokens=("mine", "other"), limits=Limits(jobs=1), grace=0) as client:
        assert client.post("/v1/video", content=clip.read_bytes()).status_code == 401
        job = client.post("/v1/video", content=clip.read_bytes(), headers=mine).json()["id"]
        full = client.post("/v1/video", content=clip.read_bytes(), headers=other)
        assert (full.status_code, full.json()) == (429, {"error": "1 videos are in hand, which is the most"})
        assert [each["id"] for each in client.get("/v1/video", headers=mine).json()["jobs"]] == [job]
        assert client.get("/v1/video", headers=other).json() == {"jobs": []}
        for ask in (client.get, client.delete):
            assert ask(f"/v1/video/{job}", headers=other).status_code == 404
        assert client.get(f"/v1/video/{job}", headers=mine).status_code == 200
        assert client.delete(f"/v1/video/{job}", headers=mine).status_code == 204
        assert client.get("/v1/video", headers=mine).json() == {"jobs": []}
    assert list((tmp_path / "jobs").iterdir()) == []  # although it had begun


def test_a_promise_outlives_its_server(bright_teacher, clip, tmp_path):
    with client_of(bright_teacher, tmp_path, grace=0) as client:
        ids = [client.post("/v1/video", content=clip.read_bytes()).json()["id"] for _ in range(2)]
    assert {json.loads(file.read_text())["state"] for file in tmp_path.glob("jobs/*/job.json")} == {"waiting"}
    (tmp_path / "jobs" / ("f" * 32)).mkdir()  # of an upload that was cut off
    (tmp_path / "passing").mkdir()
    (tmp_path / "passing" / "half").touch()
    with client_of(bright_teacher, tmp_path) as client:
        assert [ended(client, job)["state"] for job in ids] == ["done", "done"]
        assert len(list((tmp_path / "jobs").iterdir())) == 2
        assert list((tmp_path / "passing").iterdir()) == []


def test_a_job_that_ends_its_server_is_not_begun_for_ever(bright_teacher, clip, tmp_path):
    spool = Spool(tmp_path)
    sent = spool.passing_file()
    sent.write_bytes(clip.read_bytes())
    job = spool.promise(sent, "", False, None, 12)
    job.state, job.attempts = "running", 3
    spool.save(job)
    spool.close()
    with client_of(bright_teacher, tmp_path) as client:
        said = ended(client, job.id)
        assert (said["state"], said["problem"]) == ("failed", "begun 3 times, and each time the server ended")
        assert client.get(f"/v1/video/{job.id}/colour").status_code == 409


def test_old_jobs_are_forgotten_and_promised_ones_are_not(bright_teacher, tmp_path):
    spool = Spool(tmp_path)
    for number, (state, finished) in enumerate([("done", 0.0), ("failed", time.time()), ("done", time.time())]):
        job = Job(f"{number:032x}", "", False, None, None, created=0.0, state=state, finished=finished)
        spool.of(job).mkdir()
        spool.save(job)
    spool.close()
    with client_of(bright_teacher, tmp_path) as client:
        assert [client.get(f"/v1/video/{number:032x}").status_code for number in range(3)] == [404, 200, 200]
    assert {file.name[-1] for file in (tmp_path / "jobs").iterdir()} == {"1", "2"}


def test_a_spool_is_one_servers(tmp_path):
    spool = Spool(tmp_path)
    with pytest.raises(ConfigError, match="used by another server"):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


def test_a_promise_is_on_disk_whole(tmp_path):
    spool = Spool(tmp_path)
    sent = spool.passing_file()
    sent.write_bytes(b"video")
    job = spool.promise(sent, "me", True, 70.0, None)
    assert not sent.exists()
    assert (spool.of(job) / "sent").read_bytes() == b"video"
    assert [asdict(each) for each in spool.jobs()] == [asdict(job)]
    spool.close()


def options(model, **more):
    load = {"model": str(model), "threads": 1}
    return {"load": load, "batch": 1, "lens": {}, "depth": False, "most": 1000, **more}


def test_work_keeps_what_was_made_of_a_video_that_breaks_off(bright_teacher, tmp_path):
    images = [np.full((96, 128, 3), 255 * (number % 2), np.uint8) for number in range(40)]
    whole = write_video(tmp_path / "whole.mp4", 10, images).read_bytes()
    (tmp_path / "sent").write_bytes(whole[: len(whole) - 300])
    told = []
    said = work(tmp_path, options(bright_teacher), told.append)
    assert 0 < said["done"] < 40
    assert said["problem"].startswith("video: damaged or cut off")
    assert (tmp_path / "video.mp4").is_file()
    assert sorted(told) == list(range(1, said["done"] + 1))


def test_work_ends_at_the_most_frames_whatever_the_header_said(bright_teacher, clip, tmp_path):
    (tmp_path / "sent").write_bytes(clip.read_bytes())
    with pytest.raises(InputError, match="video: more than 5 frames"):
        work(tmp_path, options(bright_teacher, most=5, depth=True), lambda _: None)
    assert not (tmp_path / "depth.zip").exists()


def test_probe_of_real_videos(real_data):
    found = probe(real_data / "video" / "highway.mp4", 9)
    assert found["frames"] == 38
