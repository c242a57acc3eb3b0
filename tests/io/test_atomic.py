from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from leadline.errors import InputError
from leadline.io.atomic import write_json, write_numbers, write_text, writing, writing_folder, writing_together


def test_what_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "before")

    def fail() -> None:
        with writing(tmp_path / "new" / "a.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with pytest.raises(TypeError):
        write_json(tmp_path / "new" / "a.txt", {"not JSON": object()})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_text() == "before"


@pytest.mark.parametrize("write", [writing, writing_together])
@pytest.mark.parametrize(("name", "said"), [("folder.txt", "is a folder"), ("a" * 300 + ".txt", "name too long")])
def test_a_name_no_file_can_have_is_told_before_the_work(write, name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InputError, match=said), write(tmp_path / name):
        pytest.fail("the work was begun")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.txt"]


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Grüße\n")
    assert (tmp_path / "a.txt").read_bytes() == "Grüße\n".encode()


def test_json_is_formatted_as_asked(tmp_path: Path) -> None:
    value = {"b": [1, 2.5], "a": None}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text()) == value
    write_json(tmp_path / "a.json", value, indent=None, sort_keys=True)
    assert (tmp_path / "a.json").read_text() == '{"a": null, "b": [1, 2.5]}'


def test_numbers_stand_in_rows(tmp_path: Path) -> None:
    write_numbers(tmp_path / "a.txt", [[1, 0.5], [np.pi, 1e6]])
    assert (tmp_path / "a.txt").read_text() == "1 0.5\n3.14159265 1000000\n"
    write_numbers(tmp_path / "a.txt", np.eye(2), "%.1f", ",")
    assert (tmp_path / "a.txt").read_text() == "1.0,0.0\n0.0,1.0\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot make this folder"):
        write_text(tmp_path / "file" / "a.txt", "")


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with writing_folder(tmp_path / "a" / "b") as folder:
        (folder / "one").write_text("1")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "one").read_text() == "1"
    with pytest.raises(ZeroDivisionError), writing_folder(tmp_path / "c") as folder:
        (folder / "one").write_text(str(1 / 0))
    with pytest.raises(InputError, match="cannot make this folder"), writing_folder(tmp_path / "a" / "b"):
        pass
    assert (tmp_path / "a" / "b" / "one").read_text() == "1"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "one"]
