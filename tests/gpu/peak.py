"""The most memory that was in use while something ran."""

import os
import threading
from pathlib import Path
from typing import Self

from lctx.core.engine.servers import list_servers
from lctx.core.planning.devices import Device, DeviceKind

_LOOK_S = 0.5


class Peak:
    """The first card's memory as its driver tells it, and what the servers of `runtime` have resident."""

    def __init__(self, runtime: Path, device: Device) -> None:
        self._device_bytes = self._resident_bytes = 0
        self._runtime, self._on_gpu = runtime, device.kind is DeviceKind.GPU
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def figures(self) -> dict[str, int]:
        """Bytes, the card's where there is one."""
        on_card = {"device_peak_bytes": self._device_bytes} if self._on_gpu else {}
        return on_card | {"host_peak_bytes": self._resident_bytes}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        nvml = handle = None
        if self._on_gpu:
            import pynvml as nvml

            nvml.nvmlInit()
            first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
            by_index, by_uuid = nvml.nvmlDeviceGetHandleByIndex, nvml.nvmlDeviceGetHandleByUUID
            handle = by_index(int(first)) if first.isdecimal() else by_uuid(first)
        while True:
            if nvml is not None:
                used = int(nvml.nvmlDeviceGetMemoryInfo(handle).used)
                self._device_bytes = max(self._device_bytes, used)
            resident = sum(server.rss_bytes for server in list_servers(self._runtime))
            self._resident_bytes = max(self._resident_bytes, resident)
            if self._ended.wait(_LOOK_S):
                return
