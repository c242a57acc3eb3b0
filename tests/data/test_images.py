from __future__ import annotations

from leadline.data.images import numbered_images, own_name, visible, walk


def test_images_are_found_by_their_numbers(tmp_path):
    for name in ("7.png", "0010.jpg", "10.png", "._7.png", "2.JPEG", "x3.png", "4.txt", "frame-000005.color.png"):
        (tmp_path / name).touch()
    assert numbered_images(tmp_path) == {
        2: tmp_path / "2.JPEG", 7: tmp_path / "7.png", 10: tmp_path / "10.png"
    }  # fmt: skip
    assert list(numbered_images(tmp_path)) == [2, 7, 10]
    assert numbered_images(tmp_path, "frame-", ".color") == {5: tmp_path / "frame-000005.color.png"}
    assert numbered_images(tmp_path / "nowhere") == {}


def test_the_png_of_a_number_is_taken(tmp_path):
    for name in ("1.jpg", "1.png"):
        (tmp_path / name).touch()
    assert numbered_images(tmp_path) == {1: tmp_path / "1.png"}


def test_what_macos_leaves_is_not_seen(tmp_path):
    for name in ("b.png", "a.png", "._a.png"):
        (tmp_path / name).touch()
    assert visible(tmp_path, "*.png") == [tmp_path / "a.png", tmp_path / "b.png"]


def test_links_are_followed_but_not_for_ever(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.png").touch()
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    for name in (".hidden", "b.txt", "a.txt"):
        (root / name).touch()
    (root / "deep/linked").symlink_to(tmp_path / "elsewhere")
    (root / "deep/up").symlink_to(root)
    assert list(walk(root)) == [
        (root, ["a.txt", "b.txt"]), (root / "deep", []), (root / "deep/linked", ["x.png"])
    ]  # fmt: skip


def test_a_folder_has_a_name_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / "chess").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "chess")
    monkeypatch.chdir(tmp_path / "chess")
    assert own_name(tmp_path / "chess") == "chess"
    assert own_name(tmp_path / "linked") == "linked"
    assert own_name(type(tmp_path)()) == "chess"
