"""leadline temperature: the attention temperature of bridging gates, chosen on frames that nothing is tested on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from leadline.cli import failed, make_parser, parse

if TYPE_CHECKING:
    from leadline.data.dataset import DataSet
    from leadline.protocols.protocol import Protocol


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("temperature")
    parser.add_argument("--tau", nargs="+", type=float, default=[1.0, 2.0, 3.0], help="temperatures to compare")
    parser.add_function_arguments(temperature, skip={"tau"})
    return temperature(**parse(parser, arguments).as_dict())


def temperature(
    model: str,
    data: Path,
    split: str,
    tau: list[float],
    protocol: str = "folder",
    align: str | None = None,
    min_depth: float | None = None,
    max_depth: float | None = None,
    attention: Literal["both", "cross", "self"] = "both",
    every: int = 1,
    out: Path | None = None,
    device: str = "cpu",
) -> int:
    """Judge gates at several temperatures and keep the one with the smallest AbsRel, of equals the first, in the
    checkpoint's card.

    Args:
        model: checkpoint of gates, as ``leadline train briges-room`` makes it.
        data: folder of the data.
        split: of the data set, to choose on; none of its frames may be one that the protocol tests on. A folder of
            one's own has no test split: give one that nothing else is judged on.
        tau: temperatures to compare.
        protocol: rules to judge by, such as nyu.
        align: another alignment than the protocol's.
        min_depth: another smallest depth than the protocol's.
        max_depth: another largest depth than the protocol's.
        attention: whose temperature it is; the other's stays as it is.
        every: judge one in so many images.
        out: checkpoint to write; by default the model itself.
        device: of torch.

    Returns:
        The exit code: 1 where frames could not be judged.

    Raises:
        ConfigError: the split is tested on, a temperature is not above 0, or the temperature is learned.
        InputError: the model or the data cannot be opened, or the model has no gates.
    """
    from dataclasses import replace

    from leadline import checkpoint
    from leadline.cli.evaluate import changed
    from leadline.errors import ConfigError, InputError
    from leadline.foundation.leadline_model import LeadlineModel
    from leadline.networks.bridging import Bridged
    from leadline.protocols import open_protocol
    from leadline.protocols.candidate import calibrated
    from leadline.runtime.predictor import Predictor

    rules = changed(open_protocol(protocol), align=align, min_depth=min_depth, max_depth=max_depth)
    frames = untested(rules, data, split, every)
    opened = LeadlineModel.open(model, device)
    network = opened.student.network
    if not isinstance(network, Bridged):
        raise InputError(f"{model}: a {network.architecture} has no bridging gates")
    if not tau or not all(0 < value < math.inf for value in tau):
        raise ConfigError(f"tau: temperatures above 0, not {tau}")
    cross, own = network.temperature

    def heat(value: float) -> None:
        network.set_temperature(cross if attention == "self" else value, own if attention == "cross" else value)

    errors, candidate = {}, calibrated("model", Predictor(opened).predict, opened.parallel)
    for value in tau:
        heat(value)
        result = rules.evaluate(candidate, frames)
        errors[value] = result.means["abs_rel"]
        print(f"tau {value:g}: AbsRel {errors[value]:.4f}, delta1 {result.means['delta1']:.4f}")
    best = min(tau, key=lambda value: errors[value] if errors[value] == errors[value] else math.inf)
    heat(best)
    about = f"{frames.describe()}, protocol {rules.name}, {attention} of {', '.join(f'{value:g}' for value in tau)}"
    card = replace(opened.card, options=network.options, metrics=opened.card.metrics | {"temperature chosen on": about})
    target = out or checkpoint.locate(model)
    checkpoint.save(target, network.state_dict(), card)
    print(f"{target} written: temperature {best:g}")
    return failed(result.failures, f"{len(frames)} frames could not be judged")


def untested(rules: Protocol, data: Path, split: str, every: int = 1) -> DataSet:
    """The frames of a split that shares none with the one a protocol tests on.

    Raises:
        ConfigError: it does.
        InputError: the folder does not hold the data set, or lacks the list of a split.
    """
    from leadline.data.dataset import open_dataset
    from leadline.errors import ConfigError

    frames = open_dataset(rules.data, data, split=split, truth=rules.truth, every=every)
    if rules.data == "folder":
        return frames
    tested = open_dataset(rules.data, data, split=rules.split, truth=rules.truth)
    if shared := set(frames.ids) & set(tested.ids):
        raise ConfigError(
            f"split: {rules.name} tests on {len(shared)} frames of split '{split}', such as {min(shared)}; a "
            f"temperature chosen on them would flatter it; splits of {rules.data}: {', '.join(frames.splits)}"
        )
    return frames
