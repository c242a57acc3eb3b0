from __future__ import annotations

import re

import pytest

from common.toy import Toy
from leadline.data import check as module
from leadline.data.check import check, lines
from leadline.data.dataset import dataset_class
from leadline.errors import InputError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "dataset_class", lambda name: Toy)
    return Toy.write(tmp_path / "toy")


def test_a_whole_data_set_is_usable(root):
    report = check("toy", root)
    assert report.usable
    assert report.splits == {"all": 6, "first": 3}
    assert report.missing == {}
    assert report.surprising == []
    text = "\n".join(lines(report))
    assert "all 6 files of all, first are there" in text
    assert "first: 3 frames; the first sequence" in text


def test_missing_and_surprising_files_are_named(root):
    (root / "one-000001.png").unlink()
    (root / "notes.doc").write_text("?")
    (root / "deep").mkdir()
    (root / "deep/x.png").write_text("?")
    (root / ".hidden").write_text("?")
    report = check("toy", root)
    assert not report.usable
    assert report.missing == {root / "one-000001.png": 2}  # it is in both splits
    assert report.surprising == [root / "notes.doc", root / "deep/x.png"]
    text = "\n".join(lines(report, most=1))
    assert "one-000001.png (needed by 2 frames)" in text
    assert "surprising files: 2" in text
    assert "... and 1 more" in text


def test_what_cannot_be_read_is_said(root):
    (root / "one-000000.png").write_bytes(b"no picture")
    report = check("toy", root, "all")
    assert not report.usable
    assert "one-000000.png" in report.problems["all"]
    report = check("toy", root, "listed")
    assert "write one" in report.problems["listed"]
    assert "listed: not there" in "\n".join(lines(report))
    with pytest.raises(InputError, match="no such folder"):
        check("toy", root / "nowhere")


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        ("*.png", ["a.png"], ["a/b.png", "a.jpg"]),
        ("**/*.png", ["a.png", "a/b.png", "a/b/c.png"], ["a.pngx"]),
        ("a/**/b?.txt", ["a/b1.txt", "a/x/y/b2.txt"], ["a/b.txt", "b/b1.txt"]),
        ("a/**", ["a/b", "a/b/c"], ["b/a"]),
        ("[ab]+.x", ["a+.x"], ["c+.x", "aa.x"]),
    ],
)
def test_globs(pattern, fits, fails):
    for name in fits:
        assert re.fullmatch(module._regex(pattern), name), name
    for name in fails:
        assert not re.fullmatch(module._regex(pattern), name), name


def test_an_incomplete_download_is_not_usable(root, monkeypatch):
    monkeypatch.setattr(Toy, "counts", {"all": 134})
    report = check("toy", root)
    assert not report.usable
    assert report.missing == {}
    assert report.problems == {"all": "incomplete: 6 of 134 frames of split all"}
    assert check("toy", root, "first").usable


def test_folders_that_are_links_are_looked_into_once(root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/notes.doc").write_text("?")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "round").symlink_to(root)
    (root / "splits").mkdir()
    (root / "splits/mine.txt").write_text("one 1\n")
    assert check("toy", root).surprising == [root / "linked/notes.doc"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (
            "kitti",
            "depth_selection/val_selection_cropped/image/2011_09_26_drive_0002_sync_image_05_image_02.png",
        ),
        ("kitti-object", "ImageSets/train.txt"),
        ("scannet", "scans/scene0000_00/color/0.png"),
        ("c3vd", "cecum_t1_a/pose.txt"),
    ],
)
def test_files_of_real_downloads_are_expected(name, file):
    fitting = [what for pattern, what in dataset_class(name).tree.items() if re.fullmatch(module._regex(pattern), file)]
    assert len(fitting) == 1
    assert name == "scannet" or "(optional)" in fitting[0]
