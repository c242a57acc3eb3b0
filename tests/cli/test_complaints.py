"""What the command line says of wrong keys and values of a recipe: one line that names the key and what is right."""

from __future__ import annotations

import pytest

from leadline.cli import main
from leadline.cli.complaints import plain
from leadline.cli.train import find_recipe

RECIPE = find_recipe("litenet-tract")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--data.rot x", "data: Rendered has no key 'rot'; did you mean 'root'?"),
        ("--method.teachr x", "method: LiteNet has no key 'teachr'; did you mean 'teacher'?"),
        ("--method.optimizer.lr 3", "method: LiteNet has no key 'optimizer.lr'; did you mean 'optimiser.lr'?"),
        ("--method.nothing.at.all 3", "method: LiteNet has no key 'nothing.at.all'; see"),
        ("--fit.stps 3", "unrecognized arguments: --fit.stps 3; did you mean '--fit.steps'?"),
        ("--fit.steps abc", "fit.steps: is abc, and should be int"),
        ("--fit.size 96 128", "fit.size: is 96, and should be tuple[int, int] or null, such as [1, 2]"),
        ("--method.trinity.spatial abc", "method.trinity.spatial: is abc, and should be float"),
        ("--method.base.pose foo", "method.base.pose: is foo, and should be one of 'learned', 'known'"),
        ("--data Foldr", "data: no class 'Foldr' is loaded; did you mean 'Folder'?"),
        ("--data Zzz", "data: no class 'Zzz' is loaded; give its whole path, such as leadline.data.f"),
        ("--data leadline.data.foldr.Folder", "data: module 'leadline.data' has no attribute 'foldr'"),
        ("--data Folder", "data: Folder needs root"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(given, said, capsys, tmp_path):
    out = tmp_path / "student.safetensors"
    assert main(["train", "litenet-tract", *given.split(), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"leadline: train: {said}"), error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("\n  steps:", "\n  stps:", "there is no key 'fit.stps'; did you mean 'fit.steps'?"),
        ("\nmethod:", "\nmethode:", "there is no key 'methode.student.architecture'; did you mean 'method'?"),
        ("architecture:", "archtecture:", "LiteNet has no key 'student.archtecture'; did you mean 'student.arch"),
        ("depth_range: [1.0, 400.0]", "depth_range: 3", "method.student.depth_range: is 3, and should be tuple[float"),
    ],
)  # fmt: skip
def test_so_are_wrong_recipes(right, wrong, said, capsys, tmp_path):
    text = RECIPE.read_text()
    assert right in text
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.replace(right, wrong, 1))
    assert main(["train", str(recipe), "--out", str(tmp_path / "student.safetensors")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [recipe]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["vfm-sevenscenes-teacher", "--data.root", "{there}/nowhere"], 1, "{there}/nowhere: no such folder"),
        (["vfm-sevenscenes", "--data.root", "{there}"], 1, "teacher.safetensors: no such checkpoint"),
        (["litenet-tract", "--method.student.architecture", "swft"], 2, "did you mean 'swift'"),
    ],
)
def test_what_a_class_finds_wrong_is_a_line_too(arguments, code, said, capsys, tmp_path):
    """The parser makes the classes of a recipe, and wraps what they raise."""
    given = [word.format(there=tmp_path) for word in arguments]
    assert main(["train", *given, "--out", str(tmp_path / "student.safetensors")]) == code
    error = capsys.readouterr().err
    assert said.format(there=tmp_path) in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_other_messages_stay_as_they_are():
    assert plain("the following arguments are required: inputs", []) == "the following arguments are required: inputs"
    assert plain("a thing\n  of two lines", []) == "a thing of two lines"
