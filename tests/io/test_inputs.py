from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.errors import InputError
from leadline.io.inputs import ImageInput, VideoInput, find_inputs, natural_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = ["f10.png", "f9.PNG", "f1.jpg", "clip.mp4", ".hidden.png", "notes.md"]
    truth = ["f1.depth.png", "Depth_0001.png", "mask.png"]
    for name in [*top, *truth, "sub/f1.jpg", "sub/deep/f2.jpg", "sub/deep/film.MKV"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def paths(folder: Path, *specs: str) -> list[str]:
    found = []
    for item in find_inputs(specs):
        source = item.path if isinstance(item, ImageInput) else item.source
        assert isinstance(source, Path)
        found.append(source.relative_to(folder).as_posix())
    return found


def test_folder(folder: Path) -> None:
    assert paths(folder, str(folder)) == ["clip.mp4", "f1.jpg", "f9.PNG", "f10.png"]


def test_pattern_takes_what_a_folder_leaves_out(folder: Path) -> None:
    assert paths(folder, f"{folder}/*.png") == ["Depth_0001.png", "f1.depth.png", "f10.png", "mask.png"]
    assert paths(folder, f"{folder}/sub/**/*") == ["sub/deep/f2.jpg", "sub/deep/film.MKV", "sub/f1.jpg"]
    assert paths(folder, f"{folder}/f[19].[jP]*") == ["f1.jpg", "f9.PNG"]


def test_order_is_the_users_and_repeats_are_dropped(folder: Path) -> None:
    assert paths(folder, f"{folder}/f10.png", str(folder)) == ["f10.png", "clip.mp4", "f1.jpg", "f9.PNG"]


def test_list(folder: Path) -> None:
    (folder / "sub/list.txt").write_text("\ufeff# chosen\n\n../f9.PNG\n deep/film.MKV \n" + str(folder / "f1.jpg"))
    assert paths(folder, f"{folder}/sub/list.txt") == ["sub/../f9.PNG", "sub/deep/film.MKV", "f1.jpg"]


def test_webcam_and_urls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    url = "rtsp://user:secret@10.0.0.7:554/stream1?token=abc"
    assert find_inputs(["0", url]) == [VideoInput(0, "webcam0"), VideoInput(url, "10_0_0_7_stream1")]
    (folder / "0").mkdir()
    (folder / "0/a.png").touch()
    assert find_inputs(["0"]) == [ImageInput(Path("0/a.png"), "a")]


def test_names_differ(folder: Path) -> None:
    (folder / "other").mkdir()
    for name in ("f1.png", "other/f1.jpg", "other/f9.png"):
        (folder / name).write_bytes(b"x")
    names = [item.name for item in find_inputs([f"{folder}/f1.jpg", f"{folder}/f1.png", f"{folder}/sub/f1.jpg"])]
    assert names == ["f1_jpg", "f1_png", "f1"]
    names = [item.name for item in find_inputs([f"{folder}/other/f1.jpg", f"{folder}/sub/f1.jpg"])]
    assert names == ["other_f1", "sub_f1"]
    assert [item.name for item in find_inputs([f"{folder}/other"])] == ["f1", "f9"]


@given(st.lists(st.tuples(*[st.sampled_from("ab")] * 3, st.sampled_from(["a.png", "a.jpg", "b_a.png", "a-2.png"]))))
def test_names_always_differ(tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, ...]]) -> None:
    root = tmp_path_factory.mktemp("names")
    chosen = [root.joinpath(*parts) for parts in files]
    for path in chosen:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if not chosen:
        return
    found = find_inputs(chosen)
    assert len(found) == len(set(chosen)) == len({item.name for item in found})
    assert not any("/" in item.name for item in found)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing.png", "no such file"),
        ("f10.pgn", "did you mean 'f10.png'"),
        ("notes.md", "not a suffix of a picture"),
        ("*.exr", "nothing matches"),
        ("*.md", "none of the 1 matches is a picture"),
        ("empty", "no picture or video in this folder"),
        ("nested", r"nested/\*\*/\*\.png"),
        ("truth", "named as depth maps or masks.*pattern"),
        ("bad.txt", "bad.txt, line 2: no such file"),
        ("kind.txt", "kind.txt, line 1: neither"),
        ("none.txt", "names no files"),
        ("binary.txt", "not a readable list"),
        ("ftp://host/a.mp4", "streams are read by"),
        ("rstp://host/a", "did you mean 'rtsp"),
    ],
)
def test_errors(folder: Path, monkeypatch: pytest.MonkeyPatch, spec: str, message: str) -> None:
    monkeypatch.chdir(folder)
    for name in ("empty", "nested/deeper", "truth"):
        (folder / name).mkdir(parents=True)
    (folder / "truth/a_mask.png").touch()
    (folder / "bad.txt").write_text("f1.jpg\ngone.jpg\n")
    (folder / "kind.txt").write_text("notes.md\n")
    (folder / "none.txt").write_text("# nothing\n")
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(InputError, match=message):
        find_inputs([spec])


def test_no_input() -> None:
    with pytest.raises(InputError, match="no input given"):
        find_inputs([])


@given(st.lists(st.text(alphabet="aB019._-²", max_size=6)))
def test_natural_key_orders_everything(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_natural_key_counts(a: int, b: int) -> None:
    assert (natural_key(f"frame{a}.png") < natural_key(f"frame{b}.png")) == (a < b)


def test_sevenscenes_folder_gives_its_colour_pictures(real_data: Path) -> None:
    found = find_inputs([real_data / "sevenscenes/seq-01"])
    assert len(found) == 480
    assert found[7] == ImageInput(real_data / "sevenscenes/seq-01/frame-000007.color.jpg", "frame-000007.color")
