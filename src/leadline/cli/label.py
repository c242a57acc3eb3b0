"""leadline label: a teacher's depth for shards of images, by one process or by a cluster."""

from __future__ import annotations

import time
from pathlib import Path

from leadline.cli import failed, make_parser, parse
from leadline.errors import ConfigError


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("label")
    parser.add_function_arguments(label)
    return label(**parse(parser, arguments).as_dict())


def label(
    teacher: str,
    data: Path,
    out: Path,
    workers: int = 0,
    address: str | None = None,
    device: str = "auto",
    threads: int = 0,
    batch: int = 8,
    depth: str = "png",
    price: float | None = None,
    teacher_card: Path | None = None,
    teacher_kind: str | None = None,
) -> int:
    """Label every image of a folder of WebDataset shards. What was broken off goes on when the same command is given
    again; shards that are done are not made anew.

    Args:
        teacher: the model that labels.
        data: folder of the shards: tar files of leadline (``leadline data pack``) or of others, with a picture such as
            jpg or image.jpg under each key.
        out: folder of the labelled shards, which are a data set: leadline.data.shards.Shards. On a cluster all machines
            must see both folders.
        workers: processes that label, each with a teacher of its own, started and started again by Ray (``pip install
            'leadline[scale]'``); 0 labels here, without Ray.
        address: of a Ray cluster, such as auto or ray://head:10001; without it workers run on this machine.
        device: where each teacher runs: cpu, cuda (each worker takes one GPU) or auto.
        threads: cores that each worker uses; 0 leaves that to torch here, and is one with workers.
        batch: images run together.
        depth: png has 16 bits over the span of a map, npz is exact.
        price: of a worker for an hour, in any currency, for an estimate of the cost.
        teacher_card: card of a network file, where none lies beside it.
        teacher_kind: kind of a transformers model leadline does not know.

    Returns:
        The exit code: 1 where images or shards could not be labelled; the others are.
    """
    from leadline.scale.labelling import Labelling, Teacher, label
    from leadline.training.options import FitOptions

    if price is not None and price < 0:
        raise ConfigError(f"price: at least 0, not {price:g}")
    where = FitOptions(steps=1, device=device).torch_device()
    cores = threads or (1 if workers else 0)
    job = Labelling(data, out, Teacher(teacher, teacher_card, teacher_kind, where, cores, batch, depth))
    progress = _Progress(len(job.shards), max(1, workers), price)
    failures: list[str] = []
    for done in label(job, workers, address):
        progress.shard(done.images, done.seconds)
        failures += done.failed
    print(f"{progress.images} images in {out}: {progress.spent()}")
    return failed(failures, f"{progress.images + len(failures)} images could not be labelled")


class _Progress:
    """How far the work is, how long the rest takes and what it costs.

    Args:
        shards: to be labelled.
        workers: at a time.
        price: of one of them for an hour.
    """

    def __init__(self, shards: int, workers: int, price: float | None) -> None:
        from rich.console import Console

        self.shards, self.workers, self.price = shards, workers, price
        self.say = Console(stderr=True, highlight=False, soft_wrap=True).print
        self.began = self.said = time.monotonic()
        self.done = self.images = self.fresh = self.labelled = 0
        self.seconds = 0.0

    def shard(self, images: int, seconds: float) -> None:
        """One more is done, after that many seconds of a worker's time; 0 if it was there before."""
        self.done += 1
        self.images += images
        if not seconds:
            return
        self.fresh, self.labelled, self.seconds = self.fresh + 1, self.labelled + images, self.seconds + seconds
        now = time.monotonic()
        if self.fresh > 1 and self.done < self.shards and now - self.said < 60:
            return
        self.said = now
        left = (self.shards - self.done) * self.seconds / self.fresh / self.workers
        rate = self.labelled / self.seconds
        cost = "" if self.price is None else f", {self._cost(left):.2f} at {self.price:g} an hour and worker"
        self.say(
            f"{self.done} of {self.shards} shards, {self.images} images, {rate:.1f} images/s a worker, "
            f"{_lasting(left)} left{cost}"
        )

    def spent(self) -> str:
        """What it took."""
        if not self.fresh:
            return "all of them were there already"
        took = time.monotonic() - self.began
        cost = "" if self.price is None else f", about {self._cost(took):.2f}"
        return f"{self.labelled} of them labelled now, in {_lasting(took)}, {self.labelled / took:.1f} a second{cost}"

    def _cost(self, seconds: float) -> float:
        return (self.price or 0.0) * self.workers * seconds / 3600


def _lasting(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> _lasting(42.4), _lasting(5400), _lasting(200_000)
        ('42 s', '1.5 h', '55.6 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
