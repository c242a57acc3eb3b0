"""leadline train: run a recipe."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING

from leadline.cli import instantiated, make_parser, parse
from leadline.errors import ConfigError, suggest

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

#: Of one recipe: what stands for something else can stand for many that do.
ALIASES = 20


def bundled() -> dict[str, Path]:
    """The recipes that come with leadline, by name."""
    folder = Path(str(importlib.resources.files("leadline") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name: str) -> Path:
    """The file of a recipe, from a bundled name or a path.

    Raises:
        ConfigError: there is neither.
    """
    if Path(name).is_file():
        _check_text(Path(name))
        return Path(name)
    recipes = bundled()
    if name not in recipes:
        raise ConfigError(
            f"recipe: '{name}' is neither a file nor a bundled recipe{suggest(name, recipes)} ({', '.join(recipes)})"
        )
    return recipes[name]


def _check_text(recipe: Path) -> None:
    """See that a recipe is text, and no few lines that stand for a billion."""
    import yaml

    from leadline.io.reading import read_text

    text = read_text(recipe)
    try:
        aliases = sum(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{recipe}: is not YAML ({' '.join(str(error).split())[:200]})") from None
    if aliases > ALIASES:
        raise ConfigError(f"{recipe}: has {aliases} aliases (*name), and a recipe has at most {ALIASES}")


def recipe_parser() -> ArgumentParser:
    """What a recipe may say: one method, one source of frames, a budget."""
    from leadline.data.augmentation import Augmentation
    from leadline.data.images import Images
    from leadline.data.split import Holdout
    from leadline.methods.base import Method
    from leadline.training.options import FitOptions

    parser = make_parser("train")
    parser.add_argument("--config", action="config", help="the recipe, a YAML file")
    parser.add_subclass_arguments(Method, "method", required=True)
    parser.add_subclass_arguments(Images, "data", required=True)
    parser.add_class_arguments(FitOptions, "fit")
    parser.add_class_arguments(Holdout, "holdout")
    parser.add_class_arguments(Augmentation, "augmentation")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write, a .safetensors file")
    return parser


def main(arguments: list[str]) -> int:
    """Run the command."""
    if not arguments or arguments[0].startswith("-"):
        print("usage: leadline train RECIPE [--key value ...]\n\nbundled recipes: " + ", ".join(bundled()))
        print("leadline train RECIPE --help lists the keys; --print_config prints the whole recipe")
        return 0 if arguments else 2
    recipe, *rest = arguments
    parser = recipe_parser()
    parsed = parse(parser, ["--config", str(find_recipe(recipe)), *rest, *_instead(rest)])
    settings = parser.dump(parsed, skip_none=False)
    import lightning

    lightning.seed_everything(parsed.fit.seed, verbose=False)  # some methods make networks when they are made
    config = instantiated(parser, parsed)

    import yaml

    from leadline.training.run import run

    noted = {key: value for key, value in yaml.safe_load(settings).items() if key not in ("out", "config")}
    noted["fit"] = config.fit.settings()
    run(
        config.method, config.data, config.fit, config.out, {"recipe": Path(recipe).stem, **noted}, config.holdout,
        config.augmentation, config.data.describe(),
    )  # fmt: skip
    return 0


def _instead(arguments: list[str]) -> list[str]:
    """Arguments that drop the recipe's budget where another is asked for: steps and minutes exclude each other."""
    asked = {key for key in ("steps", "minutes") for word in arguments if word.split("=")[0] == f"--fit.{key}"}
    return [word for key in {"steps", "minutes"} - asked if asked for word in (f"--fit.{key}", "0")]
