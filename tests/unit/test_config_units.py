"""Human units: what they mean, and what is refused."""

import pytest

from aiocontainer.config import MemoryLimits, parse_cpus, parse_size
from aiocontainer.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "size_bytes"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("4096 B", 4096),
        ("12 bytes", 12),
        ("64KiB", 64 << 10),
        ("64MiB", 64 << 20),
        ("64 mib", 64 << 20),
        ("1.5GiB", 3 << 29),
        ("64k", 64 << 10),
        ("64M", 64 << 20),
        ("2T", 2 << 40),
        ("64kB", 64_000),
        ("1.5GB", 1_500_000_000),
        ("0.0001kB", 0),
        ("1.9999", 1),
        (2**63 - 1, 2**63 - 1),
        ("7EiB", 7 << 60),
    ],
)
def test_a_size_is_a_number_of_bytes(given: str | int, size_bytes: int) -> None:
    assert parse_size(given) == size_bytes


@pytest.mark.parametrize(
    "given",
    [
        *(-1, True, None, 1.0, 2**63, b"1", [1]),
        *("", "MiB", "-1", "1e3", "1_000", "0x10", "8EiB", "1 M B", "64MiBs", "1.2.3"),
        *("\N{ARABIC-INDIC DIGIT ONE}MiB", "nan", "inf", "9" * 400),
    ],
)
def test_what_is_no_size_is_refused(given: object) -> None:
    with pytest.raises(ConfigError):
        parse_size(given)


@pytest.mark.parametrize(
    ("given", "quota_us"),
    [
        (1, 100_000),
        (1.5, 150_000),
        (0.01, 1_000),
        ("1.5", 150_000),
        ("1.5 cpus", 150_000),
        ("1 cpu", 100_000),
        ("150%", 150_000),
        ("1500m", 150_000),
        (1 / 3, 33_333),
        (1_000_000, 100_000_000_000),
    ],
)
def test_cpus_are_run_time_in_a_tenth_of_a_second(
    given: float | str, quota_us: int
) -> None:
    assert parse_cpus(given) == quota_us


@pytest.mark.parametrize(
    "given", [0, -1, 0.009, 1e9, 10**400, True, None, "", "x", "-1", "1e3", "1 core"]
)
def test_what_is_no_number_of_cpus_is_refused(given: object) -> None:
    with pytest.raises(ConfigError):
        parse_cpus(given)


def test_no_limit_and_nothing_said_are_two_things() -> None:
    assert MemoryLimits(limit_bytes="unlimited").limit_bytes == "unlimited"
    assert MemoryLimits().limit_bytes is None
    assert MemoryLimits(swap_bytes=0).swap_bytes == 0
