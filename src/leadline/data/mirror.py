"""Files of a folder that may lie elsewhere: behind https://, s3://, gs:// or another address that fsspec knows."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from leadline.errors import ConfigError, InputError
from leadline.io.atomic import writing
from leadline.io.cache import cache_folder, make_in_cache

#: How often a file is asked for, and the seconds between the first two times; they double.
TRIES, PAUSE = 4, 1.0


class Files:
    """The files of a folder of this machine.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, name: str, size: int = 0) -> BinaryIO:
        """A file, to be read.

        Args:
            name: below the root.
            size: in bytes, where it is known.

        Raises:
            InputError: it is missing or cannot be read.
        """
        del size
        try:
            return (self.root / name).open("rb")
        except OSError as error:
            raise InputError(f"{self.root / name}: cannot be read ({error.strerror})") from None

    def check(self, name: str, size: int) -> None:
        """See that a file is there and as large as it should be.

        Raises:
            InputError: it is not.
        """
        path = self.root / name
        if not path.is_file() or path.stat().st_size != size:
            raise InputError(f"{path}: is missing or cut off, {size} bytes are wanted; pack or copy it again")

    def fetched(self, name: str) -> Path:
        """The path of a file that may be read as a whole; it may be missing."""
        return self.root / name

    def needed(self, name: str) -> list[Path]:
        """What has to be on this machine before the file can be read."""
        return [self.root / name]


class Mirror(Files):
    """The files of a folder elsewhere, fetched whole when they are first asked for and kept on this machine.

    All processes of a machine share what is kept; while one fetches a file, those that need it too wait. What has not
    been read for longest goes when there is too much.

    Args:
        address: of the folder.
        index: the file there that says what it holds. It is fetched now; as long as it stays what it is, so does all
            that is kept.
        keep: bytes kept, beside the file that is read.

    Raises:
        ConfigError: nothing knows such addresses.
        InputError: there is no such index, or it cannot be fetched.
    """

    def __init__(self, address: str, index: str, keep: float) -> None:
        self.address = address.rstrip("/")
        self.keep = keep
        self._system: tuple[int, Any] | None = None
        mirrored = cache_folder() / "mirrored"
        make_in_cache(mirrored)
        with tempfile.TemporaryDirectory(dir=mirrored) as folder:
            fresh = Path(folder) / index
            self._fetch(index, fresh)
            state = hashlib.sha256(self.address.encode() + b"\n" + fresh.read_bytes())
            super().__init__(mirrored / state.hexdigest()[:32])
            make_in_cache(self.root)
            fresh.replace(self.root / index)

    def open(self, name: str, size: int = 0) -> BinaryIO:
        """See :meth:`Files.open`; of another size than it should have it is refused."""
        while True:
            path = self.fetched(name, size)
            try:
                os.utime(path)  # it has been read just now
                return path.open("rb")
            except FileNotFoundError:  # another process has just made room
                continue

    def check(self, name: str, size: int) -> None:
        """Nothing; a file is looked at when it is fetched."""
        del name, size

    def fetched(self, name: str, size: int = 0) -> Path:
        """A file on this machine.

        Raises:
            InputError: it cannot be had.
        """
        path = self.root / name
        if path.is_file():
            return path
        with FileLock(self.root / f"{name}.lock"):
            if not path.is_file():
                self._make_room(size)
                with writing(path) as file:
                    self._fetch(name, file)
                    if size and file.stat().st_size != size:
                        raise InputError(
                            f"{self.address}/{name}: has {file.stat().st_size} bytes, {size} are wanted; copy it again"
                        )
        return path

    def needed(self, name: str) -> list[Path]:
        """Nothing."""
        del name
        return []

    def _fetch(self, name: str, to: Path) -> None:
        def once() -> None:
            system, root = self._connected()
            system.get_file(f"{root}/{name}", str(to))

        patiently(once, f"{self.address}/{name}")

    def _connected(self) -> Any:
        """fsspec's file system, and the folder as it calls it; a process that was forked makes its own."""
        if self._system is None or self._system[0] != os.getpid():
            from fsspec.core import url_to_fs

            try:
                self._system = os.getpid(), url_to_fs(self.address)
            except (ImportError, ValueError) as error:
                raise ConfigError(f"{self.address}: cannot be opened: {error}") from None
        return self._system[1]

    def _make_room(self, size: int) -> None:
        """Delete the shards read longest ago, until another fits."""
        kept = []
        for path in self.root.glob("*.tar"):
            try:
                kept.append((path.stat().st_mtime, path.stat().st_size, path))
            except FileNotFoundError:  # another process has just deleted it
                continue
        much = sum(bytes for _, bytes, _ in kept) + size
        for _, bytes, path in sorted(kept):
            if much <= self.keep:
                break
            path.unlink(missing_ok=True)
            much -= bytes

    def __getstate__(self) -> dict[str, Any]:
        """Without the connection, for other processes."""
        return self.__dict__ | {"_system": None}


def is_address(root: object) -> bool:
    """Whether a folder lies elsewhere."""
    return "://" in str(root)


def patiently(fetch: Callable[[], None], what: str) -> None:
    """Fetch, several times if need be; networks fail now and then.

    Raises:
        InputError: it does not work, or there is no such thing.
    """
    for attempt in range(TRIES):
        try:
            fetch()
            break
        except ConfigError:
            raise
        except FileNotFoundError:
            raise InputError(f"{what}: there is no such file") from None
        except Exception as error:  # each file system has its own
            if attempt == TRIES - 1:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise InputError(f"{what}: cannot be fetched ({reason[:200]})") from None
            time.sleep(PAUSE * 2**attempt)
