"""Parsers of cgroup files: formats in tables, and files of real kernels."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocontainer.cgroups import files
from aiocontainer.cgroups.pressure import parse_pressure
from aiocontainer.cgroups.v1.blkio import parse_entries
from aiocontainer.cgroups.v1.cpuacct import parse_usage_all, split
from aiocontainer.cgroups.v1.memory import parse_numa_stat
from aiocontainer.cgroups.v2.io import parse_io_stat


@pytest.mark.parametrize(
    ("text", "limit"), [("max\n", None), ("4096\n", 4096), ("0\n", 0)]
)
def test_a_limit_is_a_number_or_nothing(text: str, limit: int | None) -> None:
    assert files.parse_limit(text) == limit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        pytest.param("9223372036854771712\n", None, id="4 KiB pages"),
        pytest.param("9223372036854710272\n", None, id="64 KiB pages"),
        pytest.param("-1\n", None, id="as it is written"),
        pytest.param("33554432\n", 33554432, id="limit"),
        pytest.param("0\n", 0, id="nothing at all"),
    ],
)
def test_an_enormous_v1_limit_is_none(text: str, limit: int | None) -> None:
    assert files.parse_limit_v1(text) == limit


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("a 1\nb 2\n", {"a": 1, "b": 2}),
        ("max 3\n", {"max": 3}),
        ("res_a 2\nres_b max\n", {"res_a": 2}),
        ("alone\na 1\n", {"a": 1}),
        ("negative -5\n", {"negative": -5}),
    ],
)
def test_flat_files_are_keys_and_numbers(text: str, found: dict[str, int]) -> None:
    assert files.parse_flat(text) == found


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("\n", ()),
        ("0\n", (0,)),
        ("0-3,7\n", (0, 1, 2, 3, 7)),
        ("1,3,5-6\n", (1, 3, 5, 6)),
    ],
)
def test_lists_of_cpus_are_spelled_out(text: str, numbers: tuple[int, ...]) -> None:
    assert files.parse_list(text) == numbers


@given(st.sets(st.integers(0, 200)))
def test_any_list_of_cpus_is_read_back(numbers: set[int]) -> None:
    text = ",".join(str(number) for number in sorted(numbers))
    assert files.parse_list(text) == tuple(sorted(numbers))


def test_long_files_are_read_whole(tmp_path: Path) -> None:
    long = tmp_path / "procs"
    long.write_text("".join(f"{pid}\n" for pid in range(1, 20_000)))
    assert files.read_pids(str(long)) == list(range(1, 20_000))


def test_pids_of_other_namespaces_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "procs").write_text("0\n12\n0\n7\n")
    assert files.read_pids(str(tmp_path / "procs")) == [12, 7]


def test_a_missing_optional_file_is_none(tmp_path: Path) -> None:
    assert files.read_optional(str(tmp_path / "nothing")) is None
    assert files.read_number(str(tmp_path / "nothing")) is None


def test_cpu_times_are_by_cpu_number() -> None:
    text = "cpu user system\n0 208000000 319956294\n1 0 7\n"
    assert parse_usage_all(text) == ((208000000, 0), (319956294, 7))


@pytest.mark.parametrize(
    ("total", "user", "system", "parts"),
    [
        pytest.param(100, 0, 0, (100, 0), id="no tick fell on it"),
        pytest.param(100, 10, 30, (25, 75), id="in the ratio of the ticks"),
        pytest.param(100, 0, 5, (0, 100), id="only system"),
        pytest.param(0, 0, 0, (0, 0), id="nothing"),
    ],
)
def test_exact_cpu_time_is_split_by_ticks(
    total: int, user: int, system: int, parts: tuple[int, int]
) -> None:
    assert split(total, user, system) == parts


@given(*[st.integers(0, 10**18)] * 3)
def test_the_parts_of_cpu_time_are_the_whole(
    total: int, user: int, system: int
) -> None:
    parts = split(total, user, system)
    assert sum(parts) == total
    assert min(parts) >= 0


def test_transfers_are_by_device_and_operation_without_the_sum() -> None:
    text = "254:0 Read 4505600\n254:0 Write 7\n8:16 Total 1\nTotal 4505608\n"
    assert [(e.major, e.minor, e.op, e.value) for e in parse_entries(text)] == [
        (254, 0, "Read", 4505600),
        (254, 0, "Write", 7),
        (8, 16, "Total", 1),
    ]


def test_transfers_without_an_operation_have_none() -> None:
    (entry,) = parse_entries("8:0 1234\n")
    assert (entry.op, entry.value) == ("", 1234)


def test_io_stat_is_bytes_and_requests() -> None:
    transfers, requests = parse_io_stat(
        "7:7 \n259:0 rbytes=26870784 wbytes=1 rios=376 wios=83 dbytes=0 dios=0\n"
    )
    assert [(e.op, e.value) for e in transfers] == [
        ("Read", 26870784),
        ("Write", 1),
        ("Discard", 0),
    ]
    assert [(e.major, e.op, e.value) for e in requests][:2] == [
        (259, "Read", 376),
        (259, "Write", 83),
    ]


def test_a_device_line_that_the_kernel_did_not_end_is_not_mistaken() -> None:
    transfers, _ = parse_io_stat("253:10 253:5 rbytes=4096 wbytes=0 rios=1 wios=0\n")
    assert (transfers[0].major, transfers[0].minor) == (253, 5)


def test_numa_pages_are_by_node() -> None:
    text = "total=12 N0=8 N1=4\nhierarchical_anon=3 N0=3 N1=0\n"
    assert parse_numa_stat(text) == {
        "total": {0: 8, 1: 4},
        "hierarchical_anon": {0: 3, 1: 0},
    }


def test_pressure_without_full_is_some_only() -> None:
    found = parse_pressure("some avg10=42.90 avg60=9.69 avg300=2.10 total=7210830\n")
    assert found is not None
    assert (found.some.avg10, found.some.total_us, found.full) == (42.90, 7210830, None)


def test_an_empty_pressure_file_is_no_pressure() -> None:
    assert parse_pressure("") is None
