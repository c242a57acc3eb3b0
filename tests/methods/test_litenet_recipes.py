"""The recipes of LiteNet on the layouts of real data sets, as the tract world writes them, and their protocols."""

from __future__ import annotations

import pytest

from common.commands import run
from leadline import checkpoint
from leadline.cli.synth import synth

#: Recipe, layout, split of what is written, kind learned, protocol.
RECIPES = {
    "litenet-scared": ("scared", "all", "scale-invariant-depth", "scared-af"),
    "litenet-hamlyn": ("hamlyn", "all", "scale-invariant-depth", "hamlyn"),
    "litenet-c3vd": ("c3vd", "all", "metric-depth", "c3vd"),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_on_its_layout_and_is_judged_by_its_protocol(recipe, tmp_path, capsys):
    layout, split, kind, protocol = RECIPES[recipe]
    synth("tract", tmp_path / "data", frames=6, seed=3, layout=layout, scale=0.15, processes=1)
    out = tmp_path / "student.safetensors"
    code, _, err = run(
        capsys, "train", recipe, "--data.root", tmp_path / "data", "--data.split", split, "--out", out,
        "--method.teacher", "leadline-tract", "--method.alignment.encoder", "efficientnet-lite0",
        "--method.base.offsets", "[-1,1]", "--fit.size", "[64,96]", "--fit.batch_size", 2, "--fit.steps", 2,
        "--fit.workers", 0,
    )  # fmt: skip
    assert code == 0, err
    card = checkpoint.read_card(out)
    assert card.kind == kind
    assert card.unit == ("mm" if kind == "metric-depth" else "arbitrary")
    code, _, err = run(
        capsys, "evaluate", "--protocol", protocol, "--data", tmp_path / "data", "--split", split, "--model", out,
        "--out", tmp_path / "report",
    )  # fmt: skip
    assert code == 0, err
    assert (tmp_path / "report" / "result.json").is_file()
