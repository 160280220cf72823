"""The table of accelerators, and what `--gpu` may say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.errors import UsageError
from lctx.core.planning.devices import (
    NAMED_BY_SIZE,
    UNVERIFIED,
    Device,
    DeviceKind,
    known_devices,
    known_names,
    parse_device,
    reported_device,
)

GIB = 1 << 30
MIB = 1 << 20
CITED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}:\S+|https://\S+|nvidia-smi")


@pytest.mark.parametrize("device", known_devices(), ids=lambda device: f"{device.name}-{device.memory_bytes}")
def test_every_row_is_sourced_and_sensible(device: Device):
    """This test ensures that no number stands without a place where it was read, nor off by a unit."""
    assert CITED.search(device.source)
    assert device.kind is DeviceKind.GPU
    assert device.count == 1
    assert device.available_bytes is None
    assert 8 * GIB <= device.memory_bytes <= 512 * GIB
    assert device.bandwidth is not None
    assert 100e9 <= device.bandwidth <= 20e12
    assert device.bf16_flops is not None
    assert 10e12 <= device.bf16_flops <= 10e15
    assert device.fp8_flops is None or 1 <= device.fp8_flops / device.bf16_flops <= 2.05
    assert device.watts is not None
    assert 50 <= device.watts <= 2000
    # A card reads its memory in a blink, and computes more than once on each value that it reads.
    assert 0.005 < device.memory_bytes / device.bandwidth < 1
    assert 10 < device.bf16_flops / device.bandwidth < 1000


def test_what_was_not_seen_says_so():
    """This test ensures that a vendor's page that nobody read is never cited as if it were read."""
    for device in known_devices():
        seen, _, unseen = device.source.partition(UNVERIFIED)
        assert "nvidia.com" not in seen
        assert unseen or CITED.search(seen)


@pytest.mark.parametrize("name", known_names())
def test_every_name_is_understood_and_means_one_card(name):
    """This test ensures that each name that a hint lists can be given, in any case and spelling."""
    device = parse_device(name)
    assert device is not None
    assert parse_device(name.upper()) == device
    assert parse_device(f"NVIDIA {name}") == device
    assert parse_device(name.replace("-", " ")) == device
    assert parse_device(f"3x{name}") == Device(
        **{field: getattr(device, field) for field in Device.__dataclass_fields__} | {"count": 3}
    )


@pytest.mark.parametrize("device", known_devices(), ids=lambda device: f"{device.name}-{device.memory_bytes}")
def test_every_card_can_be_named_by_its_own_name(device):
    """This test ensures that what a plan prints as a device's name can be given back to it."""
    found = parse_device(f"{device.name}:{device.memory_bytes / GIB:.2f}")
    assert found is not None
    assert (found.name, found.bandwidth) == (device.name, device.bandwidth)


@pytest.mark.parametrize(
    ("text", "label", "mebibytes"),
    [
        ("h100", "H100 SXM", 81559),
        ("h100:80gb", "H100 SXM", 81559),
        ("H100:80GB x2", "2 x H100 SXM", 81559),
        ("h100:80gbx2", "2 x H100 SXM", 81559),
        ("h100x2", "2 x H100 SXM", 81559),
        ("h100:94gb", "H100 NVL", 95830),
        ("2xh200", "2 x H200", 143771),
        ("4*a100:40gb", "4 x A100 SXM 40GB", 40960),
        ("4 × a100-40gb", "4 x A100 SXM 40GB", 40960),
        ("a100", "A100 SXM 80GB", 81920),
        ("rtx4090", "RTX 4090", 24564),
        ("RTX-4090", "RTX 4090", 24564),
        ("GeForce RTX 4090", "RTX 4090", 24564),
        ("nvidia-l40s", "L40S", 46068),
        ("mi300x x8", "8 x MI300X", 192 * 1024),
        ("m3 ultra:96gb", "M3 Ultra", 96 * 1024),
        ("b200:192gb", "B200", 183359),
        ("h100:78gib", "H100 SXM", 78 * 1024),
        ("24gb", "GPU with 24 GB", 24 * 1024),
        ("cuda:24gb", "GPU with 24 GB", 24 * 1024),
        ("2x24gb", "2 x GPU with 24 GB", 24 * 1024),
        ("gpu:7.5gb", "GPU with 7.5 GB", 7680),
    ],
)
def test_a_device_is_read(text, label, mebibytes):
    """This test ensures that each way to write a GPU gives the card, the memory and the count that it says."""
    device = parse_device(text)
    assert device is not None
    assert device.label == label
    assert device.memory_bytes == mebibytes * MIB
    assert device.total_memory_bytes == device.count * mebibytes * MIB


@pytest.mark.parametrize("text", ["none", "None", " cpu "])
def test_none_is_no_gpu(text):
    """This test ensures that a user can plan for a machine without a GPU."""
    assert parse_device(text) is None


def test_a_size_alone_has_no_rates():
    """This test ensures that nothing is invented for a card that lctx does not know."""
    device = parse_device("48gb")
    assert device == Device("GPU with 48 GB", DeviceKind.GPU, 48 * GIB, source=NAMED_BY_SIZE)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("h1000", "GPU 'h1000': lctx knows none of that name", "did you mean h100"),
        ("rtx4091", "knows none of that name", "did you mean rtx4090"),
        ("mi300", "knows none of that name", "did you mean mi300x"),
        ("", "GPU '': lctx knows none of that name", "lctx knows h100, h200"),
        ("h100:40gb", "GPU 'h100:40gb': it is sold with 80 GB, 94 GB", "--gpu 40gb"),
        ("rtx4090:48gb", "it is sold with 24 GB", "--gpu 48gb"),
        ("0xh100", "there can be 1 to 1024 of them", "2xh100"),
        ("1025xh100", "there can be 1 to 1024 of them", "2xh100"),
        ("0gb", "a GPU holds 1 to 4096 GB", "24gb"),
        ("24", "knows none of that name", "24gb"),
        (f"{'9' * 9000}xh100", "there can be 1 to 1024 of them", "2xh100"),
        (f"h100:{'9' * 9000}gb", "it is sold with 80 GB, 94 GB", "one of those"),
        (f"{'9' * 9000}gb", "a GPU holds 1 to 4096 GB", "24gb"),
        ("x" * 100_000, "…': lctx knows none of that name", "a size alone"),
        (":" * 100_000, "lctx knows none of that name", "a size alone"),
    ],
)
def test_what_is_no_device_is_refused_with_what_comes_near(text, message, hint):
    """This test ensures that a wrong name, memory or count ends in one line and the next thing to do."""
    with pytest.raises(UsageError) as caught:
        parse_device(text)
    assert message in caught.value.message
    assert len(caught.value.message) < 150
    assert hint in (caught.value.hint or "")


@given(text=st.one_of(st.text(), st.text(alphabet="hHaAx*×:0123456789 gbGi-_.rtxnone", max_size=20)))
def test_any_text_is_a_device_or_a_usage_error(text):
    """This test ensures that nothing that can be typed crashes, or gives a device without memory."""
    refused, device = None, None
    try:
        device = parse_device(text)
    except UsageError as error:
        refused = error
    assert refused is None or ("\n" not in refused.message and refused.hint)
    assert device is None or (device.memory_bytes > 0 and 1 <= device.count <= 1024)
    assert refused or device or text.strip().casefold() in {"none", "cpu"}


@given(
    device=st.sampled_from(known_devices()),
    count=st.integers(1, 1024),
    shape=st.sampled_from(
        ["{count}x{name}:{size}gb", "{count}*{name} {size}gib", "{name}:{size}GB x{count}"]
    ),
)
def test_a_card_is_the_same_however_it_is_written(device, count, shape):
    """This test ensures that count and memory may stand in any of their places."""
    size = round(device.memory_bytes / GIB)
    found = parse_device(shape.format(count=count, name=device.name, size=size))
    assert found is not None
    assert (found.name, found.count) == (device.name, count)
    assert abs(found.memory_bytes / device.memory_bytes - 1) <= 0.1


@pytest.mark.parametrize(
    ("product", "mebibytes", "name"),
    [
        ("NVIDIA H100 80GB HBM3", 81559, "H100 SXM"),
        ("NVIDIA H100 PCIe", 81559, "H100 PCIe"),
        ("NVIDIA H100 NVL", 95830, "H100 NVL"),
        ("A100-SXM4-40GB", 40536, "A100 SXM 40GB"),
        ("NVIDIA A100-SXM4-80GB", 81920, "A100 SXM 80GB"),
        ("Tesla T4", 15109, "T4"),
        ("Tesla V100-SXM2-32GB", 32510, "V100 SXM2"),
        ("NVIDIA GeForce RTX 4090", 24564, "RTX 4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16376, None),
        ("NVIDIA GeForce RTX 3060", 8192, None),
        ("NVIDIA GeForce RTX 9090", 65536, None),
        ("GRID A100-40C", 40960, None),
    ],
)
def test_a_driver_s_name_finds_its_card_or_none(product, mebibytes, name):
    """This test ensures that a card is known by its driver's name, and that a slower namesake is not taken for it."""
    found = reported_device(product, mebibytes * MIB)
    assert (found.name if found else None) == name
    assert found is None or found.memory_bytes == mebibytes * MIB


@pytest.mark.parametrize(("memory_bytes", "count"), [(0, 1), (-1, 1), (1, 0)])
def test_a_device_without_memory_is_our_mistake(memory_bytes, count):
    """This test ensures that a device that cannot be is never planned with."""
    with pytest.raises(ValueError, match="a device has memory"):
        Device("x", DeviceKind.GPU, memory_bytes, count)
