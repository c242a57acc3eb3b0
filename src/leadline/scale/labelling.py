"""A teacher's depth for every image of a folder of shards, by one process or by many machines.

The unit of work is the shard: whoever takes one reads it in order, asks the teacher in batches, and writes a shard of
the same name, whole or not at all. So a sample is labelled once, what was broken off goes on with the shards that are
missing, and the bytes do not depend on who did the work.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import torch

from leadline.data import packing
from leadline.data.lists import FrameId, digest
from leadline.data.packing import DEPTHS, Table, check_free, encoded, sample_keys, table_of, write_index, write_shard
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError, LeadlineError
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.foundation.licences import joined, student_licence
from leadline.io.images import write_image
from leadline.io.reading import read_record
from leadline.runtime.ahead import ahead
from leadline.runtime.predictor import Predictor
from leadline.scale.cluster import spread
from leadline.scale.samples import Sample, read_samples


@dataclass(frozen=True)
class Teacher:
    """Who labels, and how; every worker opens its own.

    Args:
        spec: as ``leadline.foundation.load`` takes it.
        card: of a network file, where none lies beside it.
        kind: of a transformers model leadline does not know.
        device: where it runs.
        threads: of the CPU that it may use; 0 leaves that to torch. Numbers may differ in their last bits between
            different counts.
        batch: images of one size that follow one another are run together, up to so many.
        depth: ``png``, 16 bits over the span of the values, or ``npz``, exact.
    """

    spec: str
    card: Path | None = None
    kind: str | None = None
    device: str = "cpu"
    threads: int = 0
    batch: int = 8
    depth: str = "png"

    def open(self) -> Predictor:
        """The teacher itself.

        Raises:
            ConfigError: it sees video, or an option is impossible.
            InputError: it cannot be opened.
        """
        if self.batch < 1 or self.threads < 0 or self.depth not in DEPTHS:
            raise ConfigError(
                f"label: batch {self.batch} is to be at least 1, threads {self.threads} at least 0, depth "
                f"'{self.depth}' one of {', '.join(DEPTHS)}"
            )
        if self.threads:
            torch.set_num_threads(self.threads)
        model = load(self.spec, card=self.card, kind=self.kind, device=self.device, threads=self.threads or None)
        if model.remembers or model.looks_around:
            raise ConfigError(
                f"{self.spec}: sees videos or rigs; what labels shards sees single images, whose order does not matter"
            )
        return Predictor(model, batch=self.batch)


@dataclass(frozen=True)
class Done:
    """What became of a shard.

    Args:
        shard: its name.
        images: with a label.
        failed: what was wrong with others, or with the shard.
        seconds: it took; 0 where it was there already.
    """

    shard: str
    images: int
    failed: list[str]
    seconds: float = 0.0

    @classmethod
    def of(cls, shard: Path, table: Table, seconds: float = 0.0) -> Self:
        """As its table says."""
        failed = [f"{failure['frame']}: {failure['error']}" for failure in table["failed"]]
        return cls(shard.name, len(table["samples"]), failed, seconds)


@dataclass(frozen=True)
class Labelling:
    """Shards that are to be labelled, and where to.

    Args:
        data: a folder of shards: leadline's, or any tar files of pictures in the form of WebDataset.
        out: folder of the labelled ones; every worker must see both.
        teacher: who labels.

    Raises:
        InputError: there is no shard in ``data``, or it is not what its index says.
        ConfigError: ``out`` is ``data``.
    """

    data: Path
    out: Path
    teacher: Teacher

    def __post_init__(self) -> None:
        if self.out.resolve() == self.data.resolve():
            raise ConfigError(f"out: {self.out} holds the shards that are to be labelled; give another folder")
        if not self.shards:
            raise InputError(f"{self.data}: holds no shards (*.tar)")

    @cached_property
    def shards(self) -> list[Path]:
        """Those to be labelled, in the order of their names; listed once, as workers know them by their numbers."""
        return sorted(self.data.glob("*.tar"))

    def about(self, model: DepthModel) -> list[dict[str, Any]]:
        """What each labelled shard is made of, for its table."""
        index = self._index
        common = {
            "version": packing.VERSION, "data": index["data"], "split": index["split"],
            "truth": f"labels of {model.name}", "teacher": model.digest, "depth": self.teacher.depth,
        }  # fmt: skip
        return [common | {"source": self._source(shard)} for shard in self.shards]

    def tables(self, about: Sequence[dict[str, Any]]) -> dict[Path, Table]:
        """Of the labelled shards that are there."""
        paths = [self.out / shard.name for shard in self.shards]
        tables = {path: table_of(path, each) for path, each in zip(paths, about, strict=True)}
        return {path: table for path, table in tables.items() if table is not None}

    def finish(self, model: DepthModel, about: Sequence[dict[str, Any]]) -> None:
        """Write the index over all shards that are there.

        Raises:
            InputError: not a single image has a label.
        """
        tables, index = self.tables(about), self._index
        ids = [FrameId(*sample[1:4]) for table in tables.values() for sample in table["samples"]]
        entire = len(tables) == len(about) and not any(table["failed"] for table in tables.values())
        known = {
            "data": index["data"], "split": index["split"], "truth": about[0]["truth"], "source": index["source"],
            "licence": joined(index["licence"], student_licence(model.licence)),
            "digest": index["digest"] if entire and index["digest"] else digest(ids),
        }  # fmt: skip
        write_index(self.out, known, tables)

    @cached_property
    def _index(self) -> dict[str, Any]:
        """Of leadline's shards their index; of others what is known of them, which is nothing."""
        file = self.data / packing.INDEX
        unknown = {
            "data": self.data.resolve().name, "split": "all", "source": "shards", "licence": "unknown", "digest": "",
        }  # fmt: skip
        known = read_record(file, "an index of shards") if file.is_file() else {}
        return unknown | {key: known[key] for key in unknown if key in known}

    def _source(self, shard: Path) -> str:
        """Identifies a shard without reading all of it."""
        table = shard.with_suffix(".json")
        known = read_record(table, "the table of a shard") if table.is_file() else {}
        return str(known["sha256"]) if "sha256" in known else f"{shard.name}, {shard.stat().st_size} bytes"


class Worker:
    """Labels shards, one after the other; a process has one.

    Args:
        job: what to do.
        about: what each labelled shard is made of.
        predictor: the teacher, where it is open already.
    """

    def __init__(self, job: Labelling, about: Sequence[dict[str, Any]], predictor: Predictor | None = None) -> None:
        self.job = job
        self.predictor = predictor or job.teacher.open()
        # A machine with other weights says so in what it writes, which is then not taken for done.
        digest = self.predictor.model.digest
        self.about = [each | {"teacher": digest} for each in about]

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Label shard ``row["number"]``; a :class:`Done` as a dictionary. A shard that cannot be read is not written.

        Raises:
            InputError: the labelled shard cannot be written.
        """
        began = time.monotonic()
        number = int(row["number"])
        shard = self.job.shards[number]
        try:
            table = write_shard(self.job.out / shard.name, self.about[number], self._labelled(shard))
        except _Unreadable as error:
            return asdict(Done(shard.name, 0, [str(error)], time.monotonic() - began))
        return asdict(Done.of(shard, table, time.monotonic() - began))

    def _labelled(self, shard: Path) -> Iterator[packing.Sample]:
        """The samples of the new shard."""
        read, named = itertools.tee(_decoded(shard))
        keys = sample_keys(sample.key for sample, _ in named)
        for group in _alike(read, self.predictor.batch):
            for sample, found in self._answers(group):
                yield next(keys), sample.id, self._files(sample, found)

    def _answers(
        self, group: list[tuple[Sample, LeadlineError | None]]
    ) -> list[tuple[Sample, DepthMap | LeadlineError]]:
        if error := group[0][1]:
            return [(group[0][0], error)]
        samples = [sample for sample, _ in group]
        try:
            if self.predictor.model.focal is not None:
                depths = [self.predictor.predict(sample.pixels, sample.camera) for sample in samples]
            else:
                depths = self.predictor.predict_batch([sample.pixels for sample in samples])
        except InputError as error:
            return [(sample, error) for sample in samples]
        return [(sample, replace(depth, camera=sample.camera)) for sample, depth in zip(samples, depths, strict=True)]

    def _files(self, sample: Sample, found: DepthMap | LeadlineError) -> dict[str, bytes] | LeadlineError:
        if isinstance(found, LeadlineError):
            return found
        files = sample.kept()
        if not {"image.jpg", "image.png"} & files.keys():
            files["image.png"] = encoded("image.png", partial(write_image, image=sample.pixels))
        name = f"depth.{self.job.teacher.depth}"
        return files | {
            name: encoded(name, found.save),
            "json": json.dumps({"licence": "unknown"} | sample.note).encode(),
        }


class _Unreadable(InputError):
    """A shard, not only a sample of it, cannot be read."""


def _decoded(shard: Path) -> Iterator[tuple[Sample, LeadlineError | None]]:
    """The samples of a shard, their pictures decoded ahead of who asks; those that cannot be, with why."""

    def decoded() -> Iterator[tuple[Sample, LeadlineError | None]]:
        samples = read_samples(shard)
        while True:
            try:
                sample = next(samples, None)
            except InputError as error:
                raise _Unreadable(str(error)) from None
            if sample is None:
                return
            try:
                _ = sample.pixels, sample.id, sample.camera
            except LeadlineError as error:
                yield sample, error
            else:
                yield sample, None

    return ahead(decoded(), 16)


def _alike(
    samples: Iterable[tuple[Sample, LeadlineError | None]], most: int
) -> Iterator[list[tuple[Sample, LeadlineError | None]]]:
    """Samples that follow one another and whose pictures have one size, up to so many; others alone."""
    for shape, same in itertools.groupby(samples, key=lambda each: None if each[1] else each[0].pixels.shape):
        while chunk := list(itertools.islice(same, 1 if shape is None else most)):
            yield chunk


def label(job: Labelling, workers: int = 0, address: str | None = None) -> Iterator[Done]:
    """Label what is missing; each shard as it is done, those that were there already first.

    The index of the labelled shards is written at the end, when all of this has been asked for.

    Args:
        job: what to do.
        workers: how many processes of Ray do it, each with a teacher; 0 does it here, without Ray.
        address: of a Ray cluster; None starts one on this machine.

    Raises:
        ConfigError: an option is impossible, the teacher sees video, or Ray is not installed.
        InputError: ``out`` holds other shards or cannot be written to, or no image could be labelled.
    """
    if workers < 0 or (address and not workers):
        raise ConfigError(f"workers: {workers}; at least 1 on a cluster, 0 without Ray")
    # On a cluster the machine that asks may have no GPU; it only has to know who the teacher is.
    predictor = (replace(job.teacher, device="cpu") if workers else job.teacher).open()
    about = job.about(predictor.model)
    wanted = {job.out / shard.name for shard in job.shards}
    check_free(job.out, about[0], wanted, ("data", "split", "teacher", "depth"))
    there = job.tables(about)
    missing = [number for number, shard in enumerate(job.shards) if job.out / shard.name not in there]
    (job.out / packing.INDEX).unlink(missing_ok=True)
    for path, table in there.items():
        yield Done.of(path, table)
    rows = [{"number": number} for number in missing]
    if workers and rows:
        make = partial(Worker, job, about)
        done = spread(make, rows, workers, job.teacher.threads, job.teacher.device, address)
    else:
        done = map(Worker(job, about, predictor), rows)
    for row in done:
        yield Done(**row)
    job.finish(predictor.model, about)
