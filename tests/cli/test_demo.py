"""The demo, small: every step for real, only fewer frames."""

from __future__ import annotations

import json
import re
import shutil

from common.commands import run
from leadline import checkpoint
from leadline.cli import demo
from leadline.io.video import VideoReader


def test_the_demo_ends_with_a_page_that_shows_everything(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "LEARN", (6, 2, 1.0))
    monkeypatch.setattr(demo, "JUDGE", (3, 1, 1.0))
    monkeypatch.setattr(demo, "SHOW", (1, 3, 15.0))
    monkeypatch.setattr(demo, "PHOTOGRAPHS", ("chelsea",))
    monkeypatch.setattr(demo, "TIMED", (1, 2))
    out = tmp_path / "demo"
    code, text, err = run(capsys, "demo", "--out", out, "--steps", 30, "--seed", 3)
    assert code == 0, err
    assert "index.html" in text

    page = (out / "index.html").read_text()
    sources = re.findall(r'src="([^"]+)"', page)
    assert len(sources) == 8
    for source in sources:
        assert (out / source).stat().st_size > 1000, source
    assert "nan" not in page.lower()
    assert len(list(VideoReader(out / "clip.mp4"))) == 3
    figures = json.loads((out / "evaluation" / "result.json").read_text())
    assert [entry["model"] for entry in figures] == ["student-before", "student", "leadline-tract", "mean depth"]
    before, student, teacher, mean = (entry["means"]["abs_rel"] for entry in figures)
    assert teacher < 0.5 * mean, "the bundled teacher has lost its knowledge"
    assert student < before
    assert f"{student:.3f}" in page
    card = checkpoint.read_card(out / "student.safetensors")
    assert card.teacher["name"] == "leadline-tract"
    assert "apache-2.0" in card.licence.lower()


def test_a_seed_below_zero_is_refused(tmp_path, capsys):
    code, _, err = run(capsys, "demo", "--out", tmp_path / "d", "--seed", -1)
    assert code == 2
    assert "negative" in err
    assert not (tmp_path / "d").exists()


def test_a_demo_that_was_cut_off_goes_on(tmp_path, monkeypatch):
    here = demo.Files(tmp_path, 0)
    monkeypatch.setattr(demo, "LEARN", (1, 1, 1.0))
    monkeypatch.setattr(demo, "JUDGE", (1, 1, 1.0))
    monkeypatch.setattr(demo, "SHOW", (1, 1, 15.0))
    here.render()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    shutil.rmtree(here.clip)
    here.render()
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert before.keys() == after.keys()
    assert all(before[path] == after[path] for path in before if here.clip not in path.parents)
