"""The machine things run on: what it is, the energy it takes, the memory of a process."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import multiprocessing
import os
import platform
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

#: Packages whose versions change how fast a model is.
PACKAGES = ("leadline", "torch", "onnxruntime", "openvino", "transformers", "numpy")
POWERCAP = Path("/sys/class/powercap")


def cores() -> int:
    """Logical cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and versions, as plain values; what cannot be found out is left out."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    found = {
        "processor": _processor(),
        "instructions": _instructions(),
        "cores": os.cpu_count(),
        "usable_cores": cores(),
        "memory_gb": _memory(),
        "gpus": _gpus(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }
    return {name: value for name, value in found.items() if value not in (None, [], "")}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _instructions() -> list[str]:
    """Those that make int8 and 16-bit arithmetic fast."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                known = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
                return [name for name in known if name in line.split()]
    return []


def _memory() -> float | None:
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    return None


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def peak_memory() -> float:
    """The most memory this process has held, in MB."""
    with contextlib.suppress(OSError):
        # Not getrusage: what it says of a new process includes the one that started it.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def alone(function: Callable[..., T], *arguments: Any) -> T:
    """What a function gives in a new process that holds nothing else.

    Args:
        function: of a module, so that the process can find it; its result and errors can be pickled.
        arguments: of it.

    Raises:
        Exception: what the function raised, or ``BrokenProcessPool`` where the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


class EnergyMeter:
    """Counters of energy that this machine lets us read: the processor's (RAPL), NVIDIA's GPUs.

    Attributes:
        names: of the counters.
        why_not: what keeps us from reading, where there are none.
    """

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._counters: dict[str, tuple[Callable[[], float], float]] = {}
        reasons = [self._add_processor(powercap), self._add_gpus()]
        self.names = list(self._counters)
        self.why_not = "" if self._counters else "; ".join(reason for reason in reasons if reason)

    def measure(self, run: Callable[[], object]) -> dict[str, float]:
        """Joules each counter rose by while ``run`` ran; of the whole package, whoever used it."""
        before = {name: read() for name, (read, _) in self._counters.items()}
        run()
        # A counter begins anew when it is full.
        return {name: (read() - before[name]) % full for name, (read, full) in self._counters.items()}

    def _add_processor(self, powercap: Path) -> str:
        domains = sorted(powercap.glob("intel-rapl:?"))
        for domain in domains:
            try:
                name = (domain / "name").read_text().strip()
                full = float((domain / "max_energy_range_uj").read_text()) / 1e6
                (domain / "energy_uj").read_text()
            except (OSError, ValueError):
                return f"{domain}/energy_uj cannot be read (often by root only)"
            self._counters[name] = (lambda file=domain / "energy_uj": float(file.read_text()) / 1e6, full)  # type: ignore[misc]
        return "" if domains else f"no RAPL counters in {powercap}"

    def _add_gpus(self) -> str:
        try:
            nvml = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return "no NVIDIA driver"
        count = ctypes.c_uint()
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
            return "NVML does not start"
        for number in range(count.value):
            device = ctypes.c_void_p()
            nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device))

            def read(device: ctypes.c_void_p = device) -> float:
                millijoules = ctypes.c_ulonglong()
                nvml.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(millijoules))
                return millijoules.value / 1000

            if not nvml.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(ctypes.c_ulonglong())):
                self._counters[f"gpu-{number}"] = (read, float("inf"))
        return "" if count.value else "no NVIDIA GPU"
