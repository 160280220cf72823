"""What this machine computes with: GPUs as NVML tells them, else the processor and why."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lctx.cli.devices import detect, device_for, look
from lctx.cli.processor import processor, usable_memory
from lctx.core.engine.cores import usable_cores
from lctx.core.errors import UsageError
from lctx.core.planning.devices import DeviceKind, parse_device

MIB = 1 << 20
GIB = 1 << 30

# NVML's bindings, as far as they are asked, over GPUs that a test describes in NVML_SCRIPT. Where the script says so
# a call fails as the real ones do: with an NVMLError of the library's own numbers and texts.
SCRIPTED_NVML = """
import json, os
from types import SimpleNamespace

NVML_ERROR_NOT_SUPPORTED = 3
TEXTS = {3: "Not Supported", 4: "Insufficient Permissions", 6: "Not Found", 9: "Driver Not Loaded",
         12: "NVML Shared Library Not Found", 15: "GPU is lost"}
SCRIPT = json.loads(os.environ["NVML_SCRIPT"])
started = 0

class NVMLError(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value
    def __str__(self):
        return TEXTS[self.value]

def failing(of, name):
    if name in of.get("fails", {}):
        raise NVMLError(of["fails"][name])

def nvmlInit():
    global started
    failing(SCRIPT, "init")
    started += 1

def nvmlShutdown():
    global started
    assert started == 1
    started -= 1

def nvmlDeviceGetCount():
    assert started == 1
    return len(SCRIPT["gpus"])

def nvmlDeviceGetHandleByIndex(index):
    failing(SCRIPT["gpus"][index], "handle")
    return SCRIPT["gpus"][index]

def nvmlDeviceGetName(handle):
    name = handle["name"]
    return name.encode() if SCRIPT.get("old") else name

def nvmlDeviceGetUUID(handle):
    return handle["uuid"].encode() if SCRIPT.get("old") else handle["uuid"]

def nvmlDeviceGetMemoryInfo(handle):
    failing(handle, "memory")
    return SimpleNamespace(total=handle["total"] << 20, free=handle["free"] << 20, used=0)

def nvmlDeviceGetMigMode(handle):
    if "slices" not in handle:
        raise NVMLError(3)
    return [handle.get("mig", 1)] * 2

def nvmlDeviceGetMaxMigDeviceCount(handle):
    return 7

def nvmlDeviceGetMigDeviceHandleByIndex(handle, index):
    if index >= len(handle["slices"]):
        raise NVMLError(6)
    return handle["slices"][index]

def nvmlDeviceGetAttributes(handle):
    return SimpleNamespace(gpuInstanceSliceCount=handle["parts"])
"""

LOOK = """
import dataclasses, json, sys
from pathlib import Path
from lctx.cli.devices import look

found = look(root=Path(sys.argv[1]))
print(json.dumps({"note": found.note, **dataclasses.asdict(found.device)}))
if "pynvml" in sys.modules:
    import pynvml
    assert getattr(pynvml, "started", 0) == 0, "NVML is left open"
"""


def gpu(name: str, total: int, free: int, uuid: str = "GPU-0", **more) -> dict:
    return {"name": name, "total": total, "free": free, "uuid": uuid, **more}


H100 = "NVIDIA H100 80GB HBM3"
TWO_H100 = [gpu(H100, 81559, 81000, "GPU-aa11"), gpu(H100, 81559, 40000, "GPU-aa22")]
SLICES = [
    gpu(f"{H100} MIG 3g.40gb", 40448, 40000, "MIG-one", parts=3),
    gpu(f"{H100} MIG 1g.10gb", 9984, 9900, "MIG-two", parts=1),
]


@pytest.fixture
def machine(tmp_path):
    """A machine whose files and whose NVML say what a test writes; it is looked at from a process of its own."""
    modules, root = tmp_path / "modules", tmp_path / "root"
    for folder in (modules, root / "dev", root / "proc"):
        folder.mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\n")
    (root / "proc/cpuinfo").write_text(
        "model name\t: Scripted CPU\ncpu MHz\t: 2000.0\nflags\t: fpu sse avx avx2\n"
    )

    def describe(script: dict | None, driver: str | None = "nvidiactl", **environ: str) -> dict:
        if driver:
            (root / "dev" / driver).touch()
        if script is not None:
            (modules / "pynvml.py").write_text(SCRIPTED_NVML)
        else:
            (modules / "pynvml.py").write_text("raise ImportError")
        path = os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")])
        visible = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(root)],
            env=visible | {"PYTHONPATH": path, "NVML_SCRIPT": json.dumps(script)} | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return describe


def test_equal_gpus_are_one_device_with_their_rates(machine):
    """This test ensures that GPUs of one kind are found as the table's card, with what is free on the fullest."""
    found = machine({"gpus": TWO_H100})
    known = parse_device("2xh100")
    assert known is not None
    assert (found["name"], found["count"], found["note"]) == (known.name, 2, None)
    assert found["memory_bytes"] == known.memory_bytes
    assert found["available_bytes"] == 40000 * MIB
    assert (found["bandwidth"], found["bf16_flops"]) == (known.bandwidth, known.bf16_flops)


def test_older_bindings_answer_in_bytes(machine):
    """This test ensures that names and UUIDs of bindings before version 12 are read too."""
    found = machine({"gpus": TWO_H100, "old": True}, CUDA_VISIBLE_DEVICES="GPU-aa22")
    assert (found["name"], found["count"], found["available_bytes"]) == ("H100 SXM", 1, 40000 * MIB)


@pytest.mark.parametrize(
    ("visible", "count", "free"),
    [
        ("0", 1, 81000),
        ("1", 1, 40000),
        ("1,0", 2, 40000),
        ("0,2,1", 1, 81000),
        ("0,0,1", 1, 81000),
        ("0,-1,1", 1, 81000),
        (" 1 ", 1, 40000),
        ("GPU-aa22", 1, 40000),
        ("GPU-aa1,GPU-aa22", 2, 40000),
    ],
)
def test_only_visible_gpus_are_found(machine, visible, count, free):
    """This test ensures that CUDA_VISIBLE_DEVICES is read as CUDA reads it: up to the first entry that is not valid."""
    found = machine({"gpus": TWO_H100}, CUDA_VISIBLE_DEVICES=visible)
    assert (found["name"], found["count"], found["available_bytes"]) == ("H100 SXM", count, free * MIB)


@pytest.mark.parametrize("visible", ["", "-1", "2", "NoDevFiles", "GPU-", "GPU-bb", "MIG-one", "9" * 5000])
def test_no_visible_gpu_is_the_processor(machine, visible):
    """This test ensures that a hidden GPU is not planned with, and that the note names the variable."""
    found = machine({"gpus": TWO_H100}, CUDA_VISIBLE_DEVICES=visible)
    assert (found["kind"], found["name"]) == ("cpu", "Scripted CPU")
    assert found["note"] == f"CUDA_VISIBLE_DEVICES={visible!r} shows no GPU"


def test_of_several_kinds_the_largest_is_taken(machine):
    """This test ensures that a small card beside the large ones is left out, and said."""
    small = gpu("NVIDIA GeForce RTX 3060", 12288, 12000, "GPU-cc")
    found = machine({"gpus": [small, *TWO_H100]})
    assert (found["name"], found["count"]) == ("H100 SXM", 2)
    assert found["note"] == "1 x NVIDIA GeForce RTX 3060 left out"


def test_an_unknown_gpu_has_its_memory_and_no_rates(machine):
    """This test ensures that a card that is not in the table is still planned with, by its memory alone."""
    found = machine({"gpus": [gpu("NVIDIA Future X1", 500_000, 499_000)]})
    assert (found["name"], found["memory_bytes"]) == ("NVIDIA Future X1", 500_000 * MIB)
    assert (found["bandwidth"], found["bf16_flops"], found["fp8_flops"]) == (None, None, None)


@pytest.mark.parametrize(
    ("visible", "profile", "memory", "cores"),
    [(None, "3g.40gb", 40448, 3 / 7), ("0", "3g.40gb", 40448, 3 / 7), ("MIG-two", "1g.10gb", 9984, 1 / 7)],
)
def test_a_mig_slice_has_its_share(machine, visible, profile, memory, cores):
    """This test ensures that a slice is one device with its own memory and its share of what the card can do."""
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    found = machine({"gpus": [gpu(H100, 81559, 1, slices=SLICES), TWO_H100[1]]}, **environ)
    assert (found["name"], found["count"]) == (f"H100 SXM MIG {profile}", 1)
    assert found["memory_bytes"] == memory * MIB
    assert found["bf16_flops"] == pytest.approx(989e12 * cores)
    assert found["bandwidth"] == pytest.approx(3.35e12 * memory / 81559)
    assert "estimated" in found["source"]


def test_a_gpu_in_mig_mode_without_a_slice_is_not_used(machine):
    """This test ensures that a card that CUDA cannot use is passed over, and said."""
    found = machine({"gpus": [gpu(H100, 81559, 1, slices=[]), gpu("NVIDIA L4", 23034, 22000)]})
    assert found["name"] == "L4"
    assert found["note"] == "GPU 0 cannot be used: it is in MIG mode and has no slice"


def test_mig_that_is_off_changes_nothing(machine):
    """This test ensures that a card that knows MIG and does not use it is whole."""
    found = machine({"gpus": [gpu(H100, 81559, 81000, slices=[], mig=0)]})
    assert (found["name"], found["memory_bytes"], found["note"]) == ("H100 SXM", 81559 * MIB, None)


def test_a_gpu_that_shares_the_machine_s_memory_has_it(machine):
    """This test ensures that a GPU without memory of its own is planned with the machine's."""
    found = machine({"gpus": [gpu("NVIDIA Shared", 0, 0, fails={"memory": 3})]})
    assert (found["name"], found["memory_bytes"], found["available_bytes"]) == (
        "NVIDIA Shared",
        8 * GIB,
        4 * GIB,
    )


def test_a_lost_gpu_does_not_take_the_others_with_it(machine):
    """This test ensures that one broken card is said and the rest is used."""
    broken = gpu(H100, 81559, 1, "GPU-dd", fails={"handle": 15})
    found = machine({"gpus": [broken, *TWO_H100]})
    assert (found["count"], found["note"]) == (2, "GPU 0 cannot be used: GPU is lost")
    found = machine({"gpus": [broken]})
    assert (found["kind"], found["note"]) == ("cpu", "GPU 0 cannot be used: GPU is lost")


@pytest.mark.parametrize(
    ("script", "driver", "note"),
    [
        ({"gpus": TWO_H100}, None, "no NVIDIA driver is loaded"),
        ({"gpus": TWO_H100}, "kfd", "AMD GPUs are not detected: name yours with --gpu, as in --gpu mi300x"),
        ({"gpus": []}, "nvidiactl", "the NVIDIA driver sees no GPU"),
        ({"fails": {"init": 9}}, "nvidiactl", "NVML cannot be used: Driver Not Loaded"),
        ({"fails": {"init": 12}}, "dxg", "NVML cannot be used: NVML Shared Library Not Found"),
        (
            {"gpus": [gpu(H100, 1, 1, fails={"memory": 4})]},
            "nvidiactl",
            "GPU 0 cannot be used: Insufficient Permissions",
        ),
        (None, "nvidiactl", "nvidia-ml-py is not installed, so that GPUs cannot be detected"),
    ],
)
def test_every_failure_is_the_processor_with_a_reason(machine, script, driver, note):
    """This test ensures that whatever is wrong with a driver, detection ends with a device that can be planned with."""
    found = machine(script, driver)
    assert (found["kind"], found["name"], found["note"]) == ("cpu", "Scripted CPU", note)
    assert (found["memory_bytes"], found["available_bytes"]) == (8 * GIB, 4 * GIB)


def test_the_real_library_without_a_driver_is_the_processor(tmp_path):
    """This test ensures that the real bindings, where there is no library to bind, fail as the scripted ones do."""
    pynvml = pytest.importorskip("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        (tmp_path / "dev").mkdir()
        (tmp_path / "dev/nvidiactl").touch()
        found = look(root=tmp_path)
        assert found.device.kind is DeviceKind.CPU
        assert (found.note or "").startswith("NVML cannot be used: ")
    else:
        pynvml.nvmlShutdown()
        pytest.skip("this machine has an NVIDIA driver")


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="not Linux")
def test_this_machine_s_processor_is_told_as_the_kernel_tells_it():
    """This test ensures that name and memory are the real ones, and that the rate is one that a processor can have."""
    device = processor()
    kept = Path("/proc/cpuinfo").read_text()
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert device.kind is DeviceKind.CPU
    assert device.name.split()[0] in kept or device.name.endswith(" processor")
    assert 0 < device.memory_bytes <= total
    assert device.available_bytes is not None
    assert 0 <= device.available_bytes <= device.memory_bytes
    assert device.bf16_flops is None or 1e9 <= device.bf16_flops / usable_cores() <= 2e13
    assert device.bandwidth is None


def test_looking_is_quick_and_imports_nothing_heavy():
    """This test ensures that a command on a machine without a GPU does not wait for NVML, nor load it."""
    if any(Path(file).exists() for file in ("/dev/nvidiactl", "/dev/dxg")):
        pytest.skip("this machine has an NVIDIA driver")
    detect()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        detect()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.02
    code = "import sys, lctx.cli.devices as d; d.detect(); print(sorted({'pynvml', 'ctypes', 'subprocess'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_device_is_what_was_named_or_what_is_there():
    """This test ensures that --gpu wins, that none is the processor, and that a wrong name is refused."""
    assert device_for("2xh200") == parse_device("2xh200")
    assert device_for("none").kind is DeviceKind.CPU
    assert device_for(None).name == detect().name
    with pytest.raises(UsageError):
        device_for("h1000")


MEMINFO = "MemTotal:       16777216 kB\nMemFree:        1048576 kB\nMemAvailable:    8388608 kB\n"
V2 = {"proc/self/cgroup": "0::/user/job\n"}
V1 = {"proc/self/cgroup": "5:cpu:/job\n4:memory:/job\n0::/\n"}
NESTED = "sys/fs/cgroup/user/job"


@pytest.mark.parametrize(
    ("files", "total", "available"),
    [
        ({}, 16 * GIB, 8 * GIB),
        (V2, 16 * GIB, 8 * GIB),
        (V2 | {f"{NESTED}/memory.max": "max\n", f"{NESTED}/memory.current": "5\n"}, 16 * GIB, 8 * GIB),
        (
            V2 | {f"{NESTED}/memory.max": f"{4 * GIB}\n", f"{NESTED}/memory.current": f"{GIB}\n"},
            4 * GIB,
            3 * GIB,
        ),
        (
            V2
            | {
                f"{NESTED}/memory.max": f"{4 * GIB}\n",
                f"{NESTED}/memory.current": f"{3 * GIB}\n",
                f"{NESTED}/memory.stat": f"anon 7\ninactive_file {2 * GIB}\n",
            },
            4 * GIB,
            3 * GIB,
        ),
        (
            V2
            | {
                f"{NESTED}/memory.max": f"{4 * GIB}\n",
                f"{NESTED}/memory.current": "0\n",
                "sys/fs/cgroup/user/memory.max": f"{6 * GIB}\n",
                "sys/fs/cgroup/user/memory.current": f"{5 * GIB}\n",
            },
            4 * GIB,
            1 * GIB,
        ),
        (
            V2 | {"sys/fs/cgroup/memory.max": f"{2 * GIB}\n", "sys/fs/cgroup/memory.current": f"{3 * GIB}\n"},
            2 * GIB,
            0,
        ),
        (
            {"proc/self/cgroup": "0::/../../job\n"}
            | {"sys/fs/cgroup/memory.max": f"{2 * GIB}\n", "sys/fs/cgroup/memory.current": f"{GIB}\n"},
            2 * GIB,
            GIB,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{4 * GIB}\n",
                "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory/job/memory.stat": f"cache 1\ntotal_inactive_file {GIB}\n",
            },
            4 * GIB,
            3 * GIB,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{12 * GIB}\n",
            },
            16 * GIB,
            8 * GIB,
        ),
        (V2 | {f"{NESTED}/memory.max": "nonsense", f"{NESTED}/memory.current": "5\n"}, 16 * GIB, 8 * GIB),
        (V2 | {f"{NESTED}/memory.max": "0\n", f"{NESTED}/memory.current": "5\n"}, 16 * GIB, 8 * GIB),
        ({"proc/self/cgroup": "\n:\n::\nnonsense\n0::" + "/x" * 2000 + "\n"}, 16 * GIB, 8 * GIB),
    ],
)
def test_a_container_s_limit_is_the_truth(tmp_path, files, total, available):
    """This test ensures that memory is what this process may use, by both versions of control groups."""
    for name, content in ({"proc/meminfo": MEMINFO} | files).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    memory = usable_memory(tmp_path)
    assert (memory.total_bytes, memory.available_bytes) == (total, available)


@pytest.mark.parametrize("meminfo", [None, "", "MemTotal: none kB\n", "MemTotal: 0 kB\n", "\x00\xff"])
def test_a_machine_without_its_files_still_has_memory(tmp_path, meminfo):
    """This test ensures that where the kernel does not tell, the operating system is asked."""
    if meminfo is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc/meminfo").write_text(meminfo)
    memory = usable_memory(tmp_path)
    assert memory.total_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory.available_bytes is None


@pytest.mark.parametrize(
    ("cpuinfo", "frequency", "per_core"),
    [
        ("model name : X\ncpu MHz : 2000\nflags : sse avx avx2 avx512f\n", None, 2e9 * 64),
        ("model name : X\ncpu MHz : 2000\nflags : sse avx avx2 avx512f avx512_bf16\n", None, 2e9 * 128),
        ("model name : X\ncpu MHz : 2000\nflags : avx512f avx512_bf16 amx_bf16 amx_tile\n", None, 2e9 * 2048),
        ("model name : X\ncpu MHz : 2000\nflags : sse avx avx2\n", "3500000", 3.5e9 * 32),
        ("processor : 0\nFeatures : fp asimd\n", "3000000", 3e9 * 32),
        ("processor : 0\nFeatures : fp asimd bf16\n", "3000000", 3e9 * 64),
        ("processor : 0\nFeatures : fp asimd\n", None, None),
        ("model name : X\ncpu MHz : 2000\nflags : fpu\n", None, None),
        ("model name : X\ncpu MHz : fast\nflags : avx2\n", "nonsense", None),
        ("", None, None),
    ],
)
def test_a_processor_s_rate_follows_from_cores_clock_and_vectors(tmp_path, cpuinfo, frequency, per_core):
    """This test ensures that the bound is the product that its source names, and is absent where a factor is."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    if frequency:
        folder = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
        folder.mkdir(parents=True)
        (folder / "cpuinfo_max_freq").write_text(frequency)
    cores = usable_cores(tmp_path / "sys/devices/system/cpu", tmp_path / "sys/fs/cgroup")
    device = processor(tmp_path)
    assert device.bf16_flops == (None if per_core is None else pytest.approx(per_core * cores))
    assert ("estimated" in device.source) == (per_core is not None)
    assert device.name


@pytest.mark.parametrize(
    ("chip", "name", "kind"),
    [("Apple M4 Max", "M4 Max", DeviceKind.GPU), ("Apple M9", "Apple M9", DeviceKind.CPU)],
)
def test_a_mac_s_gpu_has_its_memory(tmp_path, monkeypatch, chip, name, kind):
    """This test ensures that a Mac whose chip is known is planned as a GPU with the whole memory."""
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("lctx.cli.processor._sysctl", lambda _: chip)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: {64 << 20} kB\nMemAvailable: {32 << 20} kB\n")
    found = look(root=tmp_path)
    assert (found.device.name, found.device.kind) == (name, kind)
    assert (found.device.memory_bytes, found.device.available_bytes) == (64 * GIB, 32 * GIB)
    assert (found.note is None) == (kind is DeviceKind.GPU)
