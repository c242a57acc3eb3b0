"""Three hundred damaged, wrong and hostile inputs through the commands: a line, no traceback, nothing half-written."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.commands import run
from leadline.data.folder import Folder
from leadline.data.packing import pack
from leadline.depth import DepthMap, Kind

#: Seconds a command may take.
LONG = 120
#: One in so many is run as a user runs it, as a process.
REAL = 10
SIZE = (48, 64)

Spoil = Callable[[bytes], bytes]


def cut(share: float) -> Spoil:
    return lambda content: content[: int(len(content) * share)]


def flipped(seed: int, count: int = 8, first: float = 0.0, last: float = 1.0) -> Spoil:
    def spoil(content: bytes) -> bytes:
        rng, changed = np.random.default_rng(seed), bytearray(content)
        for place in rng.integers(int(first * len(content)), max(1, int(last * len(content))), count):
            changed[place] ^= 1 << int(rng.integers(8))
        return bytes(changed)

    return spoil


def replaced(old: bytes, new: bytes) -> Spoil:
    def spoil(content: bytes) -> bytes:
        assert old in content, f"{old!r} is not in it"
        return content.replace(old, new, 1)

    return spoil


def always(content: bytes) -> Spoil:
    return lambda _: content


ANYTHING: dict[str, Spoil] = {
    "empty": always(b""),
    "text": always(b"this is not what its name says\n"),
    "zeros": always(bytes(5000)),
    "one byte": always(b"\x89"),
    "noise": always(np.random.default_rng(0).bytes(4000)),
    "long line": always(b"a" * 300_000),
    "html": always(b"<!DOCTYPE html><html><body>404 Not Found</body></html>"),
    "lfs pointer": always(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"),
    "zip": always(b"PK\x03\x04" + bytes(200)),
    "twice": lambda content: content + content,
    "tail": lambda content: content + b"\0" * 1000,
    "without its start": lambda content: content[16:],
    **{f"cut to {share:g}": cut(share) for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)},
    **{f"bits {seed}": flipped(seed) for seed in range(6)},
    **{f"bits at the start {seed}": flipped(seed, 4, 0.0, 0.02) for seed in range(4)},
    **{f"bits at the end {seed}": flipped(seed, 4, 0.95, 1.0) for seed in range(2)},
}


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_bomb(width: int, height: int) -> bytes:
    """A small file that says it is a large picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


IMAGES: dict[str, Spoil] = ANYTHING | {
    "bomb": always(png_bomb(60_000, 60_000)),
    "of no width": always(png_bomb(0, 48)),
    "of 2^31 pixels": always(png_bomb(2**31 - 1, 1)),
    "one pixel": always(png_bomb(1, 1)),
    "svg": always(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    "postscript": always(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n"),
}


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zip_bomb(name: str) -> bytes:
    """Eight KB that are eight MB of zeros, said to be an array of a thousand times as many."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (100_000, 100_000)})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, header.getvalue() + bytes(8_000_000))
    return file.getvalue()


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/leadline-was-here",)


DEPTHS: dict[str, Spoil] = ANYTHING | {
    "objects": always(npz(depth=np.array([Evil()], object))),
    "other names": always(npz(depths=np.ones(SIZE), x=np.ones(3))),
    "of another shape": always(npz(depth=np.ones((2, 3, 4, 5)))),
    "words": always(npz(depth=np.array([["near", "far"]]))),
    "complex": always(npz(depth=np.ones(SIZE, complex))),
    "bomb": always(zip_bomb("depth.npy")),
    "nothing in it": always(npz()),
}


def header_of(content: bytes) -> tuple[dict[str, object], bytes]:
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def with_header(change: Callable[[dict], object]) -> Spoil:
    """A checkpoint whose header is changed."""

    def spoil(content: bytes) -> bytes:
        header, rest = header_of(content)
        new = change(header)
        text = json.dumps(header if new is None else new).encode()
        return struct.pack("<Q", len(text)) + text + rest

    return spoil


def with_card(**values: object) -> Spoil:
    """A checkpoint whose card says something else."""

    def change(header: dict) -> None:
        for name, text in header["__metadata__"].items():
            try:
                card = json.loads(text)
            except ValueError:
                continue
            if isinstance(card, dict):
                header["__metadata__"][name] = json.dumps(card | values)

    return with_header(change)


def first_tensor(**values: object) -> Spoil:
    def change(header: dict) -> None:
        name = next(name for name in header if name != "__metadata__")
        header[name] |= values

    return with_header(change)


CHECKPOINTS: dict[str, Spoil] = ANYTHING | {
    "header of 2^60 bytes": lambda content: struct.pack("<Q", 2**60) + content[8:],
    "header of no bytes": lambda content: struct.pack("<Q", 0) + content[8:],
    "header is a list": with_header(lambda header: [1, 2]),
    "no card": with_header(lambda header: header.pop("__metadata__") and None),
    "card is empty": with_header(lambda header: header.update({"__metadata__": {}})),
    "card is no text": with_header(lambda header: header.update({"__metadata__": {"leadline": "{"}})),
    "no such architecture": with_card(architecture="os.system"),
    "architecture is a number": with_card(architecture=7),
    "no such kind": with_card(kind="metric-soup"),
    "size of no numbers": with_card(input_size=["a", None]),
    "size of nothing": with_card(input_size=[0, 0]),
    "huge size": with_card(input_size=[10**9, 10**9]),
    "range of no numbers": with_card(depth_range="near to far"),
    "options it does not have": with_card(options={"evil": "import os"}),
    "options are a list": with_card(options=[1]),
    "tensor beyond the file": first_tensor(data_offsets=[0, 2**40]),
    "tensor of a type that is not": first_tensor(dtype="F13"),
    "tensor of another shape": first_tensor(shape=[1]),
    "pickle": always(b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."),
}


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for header, content in members:
            tar.addfile(header, io.BytesIO(content))
    return file.getvalue()


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.type, header.linkname = size, kind, link
    return header


SHARDS: dict[str, Spoil] = ANYTHING | {
    "links": always(tar_of((member("a.jpg", kind=tarfile.SYMTYPE, link="/etc/passwd"), b""))),
    "device": always(tar_of((member("a.jpg", kind=tarfile.CHRTYPE), b""))),
    "out of the folder": always(tar_of((member("../../evil.jpg", 4), b"evil"))),
    "absolute": always(tar_of((member("/etc/evil.jpg", 4), b"evil"))),
    "no members": always(tar_of()),
}
INDEX: dict[str, Spoil] = {
    "empty": always(b""), "text": always(b"hello"), "list": always(b"[]"), "null": always(b"null"),
    "nan": always(b"NaN"),
    "deep": always(b"[" * 100_000), "of nothing": always(b'{"version": 1}'),
    "other version": replaced(b'"version": 1', b'"version": 99'),
    "shards are words": replaced(b'"shards": [', b'"shards": ["a", '),
    "file out of the folder": replaced(b'"000000.tar"', b'"../../../etc/passwd"'),
    "bytes are a word": replaced(b'"bytes": ', b'"bytes": "x", "b": '),
}  # fmt: skip

RECIPE = "method: {class_path: leadline.methods.supervised.Supervised}\nfit: {steps: 1}\n"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
RECIPES: dict[str, Spoil] = {
    name: always(text.encode("utf-8", "surrogateescape"))
    for name, text in {
        "empty": "", "a word": "hello", "a list": "- 1\n- 2\n", "not closed": "method: {", "tabs": "method:\n\t- x",
        "binary": "\x00\x01\x02", "laughs": LAUGHS, "deep": "[" * 20_000, "unknown key": RECIPE + "fitt: {steps: 2}\n",
        "unknown key below": "method: {class_path: leadline.methods.supervised.Supervised}\nfit: {stepz: 1}\n",
        "steps are a word": RECIPE.replace("steps: 1", "steps: many"),
        "no steps": RECIPE.replace("steps: 1", "steps: 0"), "negative": RECIPE.replace("steps: 1", "steps: -5"),
        "no such class": RECIPE.replace("Supervised}", "Supervized}"),
        "no such module": RECIPE.replace("leadline.methods", "leadline.methodz"),
        "another class": RECIPE.replace("leadline.methods.supervised.Supervised", "os.system"),
        "a process": RECIPE.replace("leadline.methods.supervised.Supervised", "subprocess.Popen"),
        "python tag": "method: !!python/object/apply:os.system ['touch /tmp/leadline-was-here']\n",
        "twice": RECIPE + RECIPE, "method is a number": "method: 5\nfit: {steps: 1}\n",
        "no method": "fit: {steps: 1}\n", "size of one": RECIPE.replace("steps: 1", "steps: 1, size: [64]"),
        "size of words": RECIPE.replace("steps: 1", "steps: 1, size: [a, b]"),
        "size no multiple": RECIPE.replace("steps: 1", "steps: 1, size: [65, 70]"),
        "huge batch": RECIPE.replace("steps: 1", "steps: 1, batch_size: 0"),
        "device": RECIPE.replace("steps: 1", "steps: 1, device: toaster"),
        "latin": "method: caf\udce9\n", "anchor": "method: *nobody\n",
    }.items()
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A file of a good input that is spoiled, and a command that reads it."""

    name: str
    victim: str
    spoil: Spoil
    command: str


#: What a user types, where {root} is the folder of inputs and {out} that of results.
COMMANDS = {
    "predict": "predict {root}/images --model {root}/s.safetensors --out {out}",
    "video": "predict {root}/clip.mp4 --model {root}/s.safetensors --out {out}",
    "evaluate": "evaluate --protocol folder --data {root} --model {root}/s.safetensors --out {out}/e.json",
    "pack": "data pack folder {root} --out {out}/packed --per_shard 2",
    "info": "info {root}/s.safetensors",
    "label": "label --teacher {root}/s.safetensors --data {root}/shards --out {out}/labelled",
    "check": "data check shards {root}/shards",
    "train": "train {root}/recipe.yaml --data leadline.data.folder.Folder --data.root {root} --out {out}/t.safetensors",
}
TABLE = {key: INDEX[key] for key in ("empty", "text", "list", "null", "deep")}
#: Kind of input, the file that is spoiled, ways to spoil it, and commands that read it.
KINDS = (
    ("image", "images/001.png", IMAGES, ("predict", "pack")),
    ("jpeg", "images/000.jpg", IMAGES, ("predict", "evaluate")),
    ("depth", "depths/001.npz", DEPTHS, ("evaluate", "pack")),
    ("depth png", "depths/000.png", ANYTHING, ("evaluate",)),
    ("video", "clip.mp4", ANYTHING, ("video",)),
    ("checkpoint", "s.safetensors", CHECKPOINTS, ("predict", "info")),
    ("shard", "shards/000000.tar", SHARDS, ("label", "check")),
    ("index", "shards/index.json", INDEX, ("check", "label")),
    ("table", "shards/000000.json", TABLE, ("label",)),
    ("recipe", "recipe.yaml", RECIPES, ("train",)),
)


def cases() -> Iterator[Case]:
    for kind, victim, spoils, commands in KINDS:
        for number, (what, spoil) in enumerate(spoils.items()):
            # Every command meets every second way, so that all of them meet many.
            yield Case(f"{kind}: {what}", victim, spoil, COMMANDS[commands[number % len(commands)]])


CASES = list(cases())
#: All of them, which takes minutes, where LEADLINE_ALL is set; else one in seven, of every command.
CHOSEN = range(0, len(CASES), 1 if os.environ.get("LEADLINE_ALL") else 7)


@pytest.fixture(scope="module")
def good(student_file, tmp_path_factory) -> Path:
    """Inputs in which nothing is wrong."""
    import av

    root = tmp_path_factory.mktemp("good")
    (root / "images").mkdir()
    (root / "depths").mkdir()
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (*SIZE, 3), np.uint8)) for _ in range(3)]
    noise[0].save(root / "images" / "000.jpg")
    noise[1].save(root / "images" / "001.png")
    noise[2].save(root / "images" / "002.png")
    depth = DepthMap(rng.uniform(1, 9, SIZE).astype(np.float32), Kind.parse("metric-depth"), "m")
    for name in ("000.png", "001.npz", "002.png"):
        depth.save(root / "depths" / name)
    with av.open(str(root / "clip.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for _ in range(6):
            picture = rng.integers(0, 255, (*SIZE, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    shutil.copy(student_file, root / "s.safetensors")
    pack(Folder(root), root / "shards", per_shard=2)
    (root / "recipe.yaml").write_text(RECIPE)
    return root


def test_there_are_three_hundred():
    assert len(CASES) >= 300
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", CHOSEN, ids=[CASES[number].name for number in CHOSEN])
def test_one_line_and_nothing_half_written(good, tmp_path, capsys, number):
    case = CASES[number]
    root, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(good, root)
    out.mkdir()
    victim = root / case.victim
    victim.write_bytes(case.spoil(victim.read_bytes()))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    arguments = case.command.format(root=root, out=out).split()
    if CHOSEN.index(number) % REAL == 0:
        command = [sys.executable, "-m", "leadline", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)
        code, said = done.returncode, done.stdout + done.stderr
    else:
        signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs", pytrace=False))
        signal.alarm(LONG)
        try:
            code, printed, complained = run(capsys, *arguments)
        finally:
            signal.alarm(0)
        said = printed + complained
    assert code in (0, 1, 2), said
    assert "Traceback" not in said
    if code:
        assert said.strip(), "it failed and said nothing"
        assert max(map(len, said.splitlines())) < 1200
    assert {path: path.stat().st_mtime_ns for path in before} == before, "an input was changed"
    hidden = [path for path in out.rglob("*") if path.name.startswith(".")]
    assert not hidden, "what was begun was left"
    assert not Path("/tmp/leadline-was-here").exists()
    for path in out.rglob("*"):
        if path.suffix == ".npz":
            DepthMap.load(path)
        elif path.suffix == ".png":
            Image.open(path).load()
