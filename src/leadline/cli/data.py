"""leadline data: check, show and pack data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from leadline.cli import failed, make_parser, parse
from leadline.errors import ConfigError, suggest

ACTIONS = {
    "check": "name every missing or surprising file, and how many frames each split finds",
    "show": "a page of random frames with their depth drawn over them",
    "pack": "WebDataset shards of a split",
}


def main(arguments: list[str]) -> int:
    """Run the command."""
    from leadline.data.dataset import datasets

    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, ACTIONS))
        print(
            "usage: leadline data ACTION NAME PATH [options]\n",
            *(f"  {name:<{width}}  {what}" for name, what in ACTIONS.items()),
            f"\nNAME: {', '.join(sorted(datasets()))}", sep="\n",
        )  # fmt: skip
        return 0
    action, *rest = arguments
    if action not in ACTIONS:
        raise ConfigError(f"data: no action '{action}'{suggest(action, ACTIONS)}; there is {', '.join(ACTIONS)}")
    parser = make_parser("data")
    parser.prog, parser.description = f"leadline data {action}", f"{ACTIONS[action].capitalize()}."
    parser.add_argument("name", help=f"of the data set: {', '.join(sorted(datasets()))}")
    parser.add_argument("path", type=Path, help="its folder")
    actions: dict[str, Callable[..., int]] = {"check": check, "show": show, "pack": pack}
    parser.add_function_arguments(actions[action], skip={"name", "path"})
    return actions[action](**parse(parser, rest).as_dict())


def check(name: str, path: Path, split: str | None = None, truth: str | None = None, most: int = 20) -> int:
    """Look for every file.

    Args:
        name: of the data set.
        path: its folder.
        split: look at this one only.
        truth: with depth of this kind.
        most: names of so many files are printed.

    Returns:
        1 where something is missing, else 0.
    """
    from leadline.data.check import check as look
    from leadline.data.check import lines

    report = look(name, path, split, truth)
    print("\n".join(lines(report, most)))
    return 0 if report.usable else 1


def show(
    name: str, path: Path, split: str | None = None, truth: str | None = None, count: int = 6, seed: int = 0,
    out: Path = Path("samples"),
) -> int:  # fmt: skip
    """Draw random frames.

    Args:
        name: of the data set.
        path: its folder.
        split: a name, or a file that lists frames; by default the data set's first.
        truth: kind of depth; by default the data set's first.
        count: how many frames; of a rig all cameras of as many instants as it takes.
        seed: of the choice.
        out: folder of the page.

    Returns:
        1 where a frame could not be read, else 0.
    """
    from leadline.data.dataset import open_dataset
    from leadline.data.show import chosen, write_samples

    if count < 1:
        raise ConfigError(f"count: at least one frame is needed, not {count}")
    data = open_dataset(name, path, split=split, truth=truth)
    indices = chosen(data, count, seed)
    page, failures = write_samples(data, indices, out)
    print(f"look at {page}")
    return failed(failures, f"{len(indices)} frames could not be read")


def pack(
    name: str, path: Path, out: Path, split: str | None = None, truth: str | None = None, per_shard: int = 1000,
    depth: str = "npz", threads: int = 4,
) -> int:  # fmt: skip
    """Write shards; packing that was broken off goes on.

    Args:
        name: of the data set.
        path: its folder.
        out: folder of the shards.
        split: a name, or a file that lists frames; by default the data set's first.
        truth: kind of depth; by default the data set's first.
        per_shard: frames in a shard.
        depth: npz is exact, png has 16 bits and is smaller.
        threads: shards written at a time.

    Returns:
        1 where a frame could not be read, else 0.
    """
    from leadline.data.dataset import open_dataset
    from leadline.data.packing import pack as write

    failures: list[str] = []
    data = open_dataset(name, path, split=split, truth=truth)
    shards = write(data, out, per_shard, depth, threads, lambda id, error: failures.append(f"{id}: {error}"))
    print(f"{len(data) - len(failures)} frames in {len(shards)} shards in {out}; {out}/index.json says what they are")
    return failed(failures, f"{len(data)} frames are left out")
