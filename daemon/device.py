"""The device's own state, as far as it shows."""

from __future__ import annotations

import contextlib

import psutil

from coexec.daemon.exposition import Families


def add_device(families: Families) -> None:
    """CPU, memory, temperatures and frequencies of the machine. CPU figures are since the last
    call in this process."""
    memory = psutil.virtual_memory()
    total = families.gauge("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes")
    total.add(memory.total)
    used = families.gauge("nv_cpu_memory_used_bytes", "CPU used memory (RAM), in bytes")
    used.add(memory.total - memory.available)
    cores = psutil.cpu_percent(percpu=True)
    utilization = families.gauge("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]")
    utilization.add(sum(cores) / len(cores) / 100 if cores else 0.0)
    per_core = families.gauge("coexec_core_utilization", "Share of the time a core was busy")
    for core, percent in enumerate(cores):
        per_core.add(percent / 100, {"core": str(core)})
    _add_frequencies(families)
    _add_temperatures(families)


def _add_frequencies(families: Families) -> None:
    gauge = families.gauge("coexec_core_frequency_hertz", "The clock of a core")
    with contextlib.suppress(OSError, NotImplementedError, RuntimeError):
        for core, frequency in enumerate(psutil.cpu_freq(percpu=True) or ()):
            gauge.add(frequency.current * 1e6, {"core": str(core)})


def _add_temperatures(families: Families) -> None:
    gauge = families.gauge("coexec_temperature_celsius", "What the machine's sensors say")
    with contextlib.suppress(OSError, AttributeError, RuntimeError):
        for chip, sensors in psutil.sensors_temperatures().items():
            for i, sensor in enumerate(sensors):
                gauge.add(sensor.current, {"chip": chip, "sensor": sensor.label or str(i)})
