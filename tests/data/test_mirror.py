"""Shards that lie behind an address."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
from torch.utils.data import DataLoader

from common.pixels import pixels
from leadline.data import mirror
from leadline.data.folder import Folder
from leadline.data.mirror import Mirror
from leadline.data.packing import pack
from leadline.data.shards import Shards
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.io.images import write_image

COUNT, PER_SHARD = 12, 4


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mirror, "PAUSE", 0.01)
    return tmp_path / "cache"


@pytest.fixture
def packed(tmp_path) -> Path:
    for number in range(COUNT):
        noise = np.random.default_rng(number).random((24, 32, 3), np.float32)
        write_image(tmp_path / "frames" / "images" / f"{number}.png", noise)
        DepthMap(1 + noise[..., 0], Kind("depth", "nothing"), "m").save(tmp_path / f"frames/depths/{number}.npz")
    pack(Folder(tmp_path / "frames"), tmp_path / "shards", per_shard=PER_SHARD)
    return tmp_path / "shards"


class Handler(SimpleHTTPRequestHandler):
    """Counts what it is asked for, and fails as often as it is told to."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(packed) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(packed.parent)))
    server.asked, server.failures = [], 0
    server.address = f"http://127.0.0.1:{server.server_address[1]}/shards"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def asked(server: ThreadingHTTPServer, suffix: str) -> list[str]:
    return [Path(path).name for path in server.asked if path.endswith(suffix)]


def test_frames_from_a_server_are_those_of_the_folder_and_a_shard_is_fetched_once_when_it_is_read(server, packed):
    here, there = Shards(packed), Shards(server.address)
    assert there.ids == here.ids
    assert there.digest == here.digest
    assert there.licence == here.licence
    assert not asked(server, ".tar")
    np.testing.assert_array_equal(there[5].image, here[5].image)
    assert asked(server, ".tar") == ["000001.tar"]
    for index in range(COUNT):
        np.testing.assert_array_equal(there[index].image, here[index].image)
    assert sorted(asked(server, ".tar")) == ["000000.tar", "000001.tar", "000002.tar"]
    Shards(server.address)[0]
    assert len(asked(server, ".tar")) == 3


@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_processes_that_load_share_what_is_fetched(server, packed, start):
    frames = Shards(server.address)
    frames[0]  # a connection of this process, which a forked one may not use
    loader = DataLoader(
        range(COUNT), 2, num_workers=2, collate_fn=partial(pixels, frames), multiprocessing_context=start
    )
    np.testing.assert_array_equal(np.concatenate(list(loader)), pixels(Shards(packed), list(range(COUNT))))
    assert len(asked(server, ".tar")) == 3


def test_threads_that_need_one_shard_fetch_it_once(server):
    frames = Shards(server.address)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(frames.__getitem__, [0, 1, 2, 3] * 3))
    assert asked(server, ".tar") == ["000000.tar"]


def test_what_was_read_longest_ago_goes_when_there_is_too_much(server, packed, cache):
    size = max(path.stat().st_size for path in packed.glob("*.tar"))
    frames = Shards(server.address, keep_gb=2.5 * size / 1e9)
    for index in (0, PER_SHARD, 0, 2 * PER_SHARD):
        frames[index]
    assert sorted(path.name for path in cache.rglob("*.tar")) == ["000000.tar", "000002.tar"]
    frames[PER_SHARD]  # comes again
    assert asked(server, ".tar") == ["000000.tar", "000001.tar", "000002.tar", "000001.tar"]


def test_a_server_that_fails_is_asked_again(server):
    server.failures = mirror.TRIES - 1
    assert len(Shards(server.address)) == COUNT


def test_what_cannot_be_had_is_one_line_and_leaves_nothing(server, packed, cache):
    with pytest.raises(InputError, match=r"nothing/index\.json: there is no such file"):
        Shards(f"{server.address}/nothing")
    frames = Shards(server.address)
    shard = packed / "000002.tar"
    shard.write_bytes(shard.read_bytes()[:-512])
    with pytest.raises(InputError, match=r"000002\.tar: has \d+ bytes, \d+ are wanted; copy it again"):
        frames[COUNT - 1]
    shard.unlink()
    with pytest.raises(InputError, match=r"000002\.tar: there is no such file"):
        frames[COUNT - 1]
    server.failures = 10**6
    with pytest.raises(InputError, match=r"000001\.tar: cannot be fetched"):
        frames[PER_SHARD]
    assert not list(cache.rglob("*.tar"))


def test_shards_that_are_packed_again_are_fetched_again(server, packed, tmp_path):
    assert Shards(server.address)[0].image.max() > 0
    shutil.rmtree(packed)
    write_image(tmp_path / "frames" / "images" / "0.png", np.zeros((24, 32, 3), np.float32))
    pack(Folder(tmp_path / "frames"), packed, per_shard=PER_SHARD)
    assert Shards(server.address)[0].image.max() == 0


def test_an_object_store_is_read_like_a_server(packed):
    store = fsspec.filesystem("memory")
    store.put(str(packed), "/bucket/shards", recursive=True)
    frames = Shards("memory://bucket/shards")
    np.testing.assert_array_equal(frames[7].image, Shards(packed)[7].image)


def test_an_address_of_no_kind_is_one_line():
    with pytest.raises(ConfigError, match="nowhere://shards: cannot be opened"):
        Mirror("nowhere://shards", "index.json", 1e9)
