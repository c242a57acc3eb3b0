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
