from __future__ import annotations

import pytest
import yaml

from leadline.cli.train import bundled, main


@pytest.mark.parametrize("name", bundled())
def test_every_recipe_is_what_it_says(name, capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--out", str(tmp_path / "x.safetensors"), "--print_config"])
    assert stopped.value.code == 0
    recipe = yaml.safe_load(capsys.readouterr().out)
    assert recipe["method"]["class_path"].startswith("leadline.methods.")
    assert recipe["data"]["class_path"].startswith("leadline.")
    assert f"leadline train {name}" in bundled()[name].read_text()


@pytest.mark.parametrize(
    ("asked", "steps", "minutes"),
    [([], 2000, 0), (["--fit.minutes", "3"], 0, 3), (["--fit.minutes=3"], 0, 3), (["--fit.steps", "7"], 7, 0)],
)
def test_a_budget_takes_the_place_of_the_recipes(asked, steps, minutes, capsys):
    with pytest.raises(SystemExit):
        main(["litenet-tract", "--out", "x.safetensors", *asked, "--print_config"])
    fit = yaml.safe_load(capsys.readouterr().out)["fit"]
    assert (fit["steps"], fit["minutes"]) == (steps, minutes)
