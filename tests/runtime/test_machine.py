from __future__ import annotations

import os
from pathlib import Path

import pytest

from leadline.runtime import machine
from leadline.runtime.machine import EnergyMeter, alone, describe, peak_memory


def test_the_machine_is_described():
    found = describe()
    assert found["processor"]
    assert 1 <= found["usable_cores"] <= found["cores"]
    assert found["versions"]["torch"]
    assert found["memory_gb"] > 0.1


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch) -> Path:
    """A processor's counter of microjoules that is full at 10 J; no GPU."""
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    (package / "name").write_text("package-0\n")
    (package / "max_energy_range_uj").write_text("10000000\n")
    (package / "energy_uj").write_text("9000000\n")
    (tmp_path / "intel-rapl:0:0").mkdir()  # a part of the package, which must not count twice

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(machine.ctypes, "CDLL", missing)
    return tmp_path


def test_energy_is_what_the_counter_rose_by(powercap):
    meter = EnergyMeter(powercap)
    assert meter.names == ["package-0"]
    counter = powercap / "intel-rapl:0" / "energy_uj"
    assert meter.measure(lambda: counter.write_text("9500000")) == pytest.approx({"package-0": 0.5})
    # Full at 10 J, it begins anew.
    assert meter.measure(lambda: counter.write_text("250000")) == pytest.approx({"package-0": 0.75})


def test_it_is_said_why_energy_cannot_be_read(powercap, tmp_path):
    meter = EnergyMeter(tmp_path / "nowhere")
    assert meter.names == []
    assert "no RAPL counters" in meter.why_not
    assert "no NVIDIA driver" in meter.why_not
    assert meter.measure(lambda: None) == {}
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    assert "cannot be read" in EnergyMeter(powercap).why_not


def test_a_process_of_its_own_holds_nothing_of_this_one():
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])
    here = peak_memory()
    assert here > 300
    assert alone(os.getpid) != os.getpid()
    assert alone(peak_memory) < here - 200


def test_what_goes_wrong_there_is_raised_here():
    with pytest.raises(ValueError, match="invalid literal"):
        alone(int, "x")
