"""Shards labelled by a teacher, here and by Ray."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from common.commands import run
from leadline.data.folder import Folder
from leadline.data.packing import pack
from leadline.data.shards import Shards
from leadline.errors import ConfigError, InputError
from leadline.foundation import load
from leadline.runtime.predictor import Predictor
from leadline.scale import samples
from leadline.scale.labelling import Labelling, Teacher, label
from leadline.scale.samples import read_samples


@pytest.fixture(scope="module")
def packed(scenes, tmp_path_factory):
    """Twenty images in four shards, without depth."""
    out = tmp_path_factory.mktemp("packed") / "shards"
    pack(Folder(scenes, truth="none"), out, per_shard=6)
    return out


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_labels_are_what_the_teacher_says(packed, student_file, tmp_path):
    job = Labelling(packed, tmp_path / "out", Teacher(str(student_file), batch=4, depth="npz"))
    done = list(label(job))
    source, labelled = Shards(packed), Shards(tmp_path / "out")
    assert [each.images for each in done] == [shard["frames"] for shard in source.index["shards"]]
    assert labelled.ids == source.ids
    assert labelled.digest == source.digest
    teacher = Predictor(load(student_file))
    for number in (0, 7, len(source) - 1):
        frame, image = labelled[number], source[number].image
        np.testing.assert_array_equal(frame.image, image)
        expected = teacher.predict(np.rint(image * 255).astype(np.uint8))
        assert (frame.depth.kind, frame.depth.unit) == (expected.kind, expected.unit)
        np.testing.assert_allclose(frame.depth.values, expected.values, rtol=1e-4, atol=1e-6)
    assert "distilled from a teacher" in labelled.licence
    assert labelled.index["truth"] == "labels of tiny"


def test_what_was_broken_off_goes_on(packed, student_file, tmp_path):
    job = Labelling(packed, tmp_path / "out", Teacher(str(student_file)))
    work = label(job)
    first = next(work)
    work.close()
    assert first.seconds > 0
    assert not (tmp_path / "out" / "index.json").exists()
    with pytest.raises(InputError, match=r"holds no index\.json"):
        Shards(tmp_path / "out")
    before = (tmp_path / "out" / first.shard).stat().st_ino
    done = list(label(job))
    assert [each.seconds > 0 for each in done] == [False] + [True] * (len(done) - 1)
    assert (tmp_path / "out" / first.shard).stat().st_ino == before
    once = contents(tmp_path / "out")
    assert all(each.seconds == 0 for each in label(job))
    assert contents(tmp_path / "out") == once
    # A shard that lost its end is made again, to the same bytes.
    (tmp_path / "out" / "000002.tar").write_bytes(once["000002.tar"][:-512])
    assert [each.shard for each in label(job) if each.seconds] == ["000002.tar"]
    assert contents(tmp_path / "out") == once


def foreign(path, pictures) -> None:
    """A shard as other programs write them."""
    with tarfile.open(path, "w") as tar:
        for name, content in pictures.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))


def picture(seed: int, form: str, size=(64, 48)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, form)
    return file.getvalue()


def test_shards_of_others_with_what_is_wrong_in_them(student_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(samples, "LARGEST", 100_000)
    data = tmp_path / "data"
    data.mkdir()
    foreign(data / "00000.tar", {
        "a/1.jpg": picture(1, "JPEG"), "a/1.txt": b"a picture", "a/1.json": b'{"caption": "x"}',
        "b/1.webp": picture(2, "WEBP"), "2.jpg": picture(3, "JPEG")[:-200], "3.txt": b"alone",
        "4.png": b"\0" * 100_001, "5.PNG": picture(5, "PNG", (80, 40)),
    })  # fmt: skip
    foreign(data / "00001.tar", {"1.jpg": picture(6, "JPEG"), "2.jpg": picture(7, "JPEG")})
    whole = (data / "00001.tar").read_bytes()
    (data / "00001.tar").write_bytes(whole[:4000])
    foreign(data / "00002.tar", {"1.jpg": picture(8, "JPEG")})
    command = ("label", "--teacher", student_file, "--data", data, "--out", tmp_path / "out", "--price", 2)
    code, out, err = run(capsys, *command)
    assert code == 1
    assert out.startswith("4 images in")
    assert "4 of 8 images could not be labelled" in err
    for wrong in (
        r"00000/000002: ", "00000.tar/2.jpg: the picture", "00000.tar/3: has no picture, such as image.jpg or jpg",
        "00000.tar/4.png: is larger than", "00001.tar: cannot be read (unexpected end of data)",
    ):  # fmt: skip
        assert wrong in err
    shards = Shards(tmp_path / "out")
    assert [str(id) for id in shards.ids] == ["00000/000000", "00000/000001", "00000/000005", "00002/000000"]
    assert [path.name for path in shards.paths] == [
        "a-1.image.jpg", "b-1.image.png", "5.image.png", "1.image.jpg"]  # fmt: skip
    assert [shards[number].depth.shape for number in range(4)] == [(48, 64), (48, 64), (40, 80), (48, 64)]
    assert "unknown" in shards.licence
    (data / "00001.tar").write_bytes(whole)
    code, out, err = run(capsys, *command)
    assert (code, out[:12]) == (1, "6 images in ")
    assert "00001" not in err.partition("could not be labelled")[2]
    assert len(Shards(tmp_path / "out")) == 6


def test_a_student_learns_from_labelled_shards(packed, student_file, tmp_path, capsys):
    list(label(Labelling(packed, tmp_path / "out", Teacher(str(student_file)))))
    code, _, err = run(
        capsys, "train", "supervised-folder", "--out", tmp_path / "s.safetensors",
        "--data", "leadline.data.shards.Shards", "--data.root", tmp_path / "out", "--fit.steps", 2,
        "--fit.size", "[64, 64]", "--fit.batch_size", 2, "--fit.workers", 0, "--holdout.every", 0,
    )  # fmt: skip
    assert code == 0, err


def test_what_cannot_be_done_is_said(packed, student_file, tmp_path, capsys):
    teacher = Teacher(str(student_file))
    with pytest.raises(ConfigError, match="holds the shards that are to be labelled"):
        Labelling(packed, packed, teacher)
    with pytest.raises(InputError, match="holds no shards"):
        Labelling(tmp_path, tmp_path / "out", teacher)
    for wrong in (Teacher(str(student_file), batch=0), Teacher(str(student_file), depth="exr")):
        with pytest.raises(ConfigError, match="label: batch"):
            list(label(Labelling(packed, tmp_path / "out", wrong)))
    with pytest.raises(ConfigError, match="at least 1 on a cluster"):
        list(label(Labelling(packed, tmp_path / "out", teacher), address="auto"))
    pack(Shards(packed), tmp_path / "other", per_shard=3)
    with pytest.raises(InputError, match=r"000000\.tar: is a shard of another packing"):
        list(label(Labelling(packed, tmp_path / "other", teacher)))
    next(label(Labelling(packed, tmp_path / "exact", Teacher(str(student_file), depth="npz"))))
    with pytest.raises(InputError, match=r"000000\.tar: is a shard of another packing"):
        list(label(Labelling(packed, tmp_path / "exact", teacher)))
    code, _, err = run(capsys, "label", "--teacher", student_file, "--data", packed, "--out", packed)
    assert (code, err.count("\n")) == (2, 1)


def test_samples_are_told_apart_by_their_names(tmp_path):
    foreign(tmp_path / "x.tar", {"a.left.jpg": b"1", "a.jpg": b"2", "b.jpg": b"3", "c/b.jpg": b"4", "a.txt": b"5"})
    read = list(read_samples(tmp_path / "x.tar"))
    assert [(each.key, sorted(each.files)) for each in read] == [
        ("a", ["jpg", "left.jpg"]), ("b", ["jpg"]), ("c/b", ["jpg"]), ("a", ["txt"])]  # fmt: skip
    assert read[0].picture == "jpg"
    assert [each.place for each in read] == [0, 1, 2, 3]


@pytest.mark.filterwarnings("ignore")
def test_two_actors_give_the_same_bytes_though_one_is_killed(packed, student_file, tmp_path):
    pytest.importorskip("ray")
    teacher = Teacher(str(student_file), threads=1)
    threads = torch.get_num_threads()
    try:
        list(label(Labelling(packed, tmp_path / "one", teacher)))
    finally:
        torch.set_num_threads(threads)
    killed: list[int] = []

    def kill() -> None:
        """One actor, as soon as there is one."""
        until = time.monotonic() + 60
        while not killed and time.monotonic() < until:
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    name = file.read_text()
                except OSError:
                    continue
                if name.startswith("ray::") and "MapWorker" in name:
                    killed.append(int(file.parent.name))
                    os.kill(killed[0], signal.SIGKILL)
                    return
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    done = list(label(Labelling(packed, tmp_path / "two", teacher), workers=2))
    killer.join()
    assert killed
    assert sorted(each.shard for each in done) == sorted(path.name for path in packed.glob("*.tar"))
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
