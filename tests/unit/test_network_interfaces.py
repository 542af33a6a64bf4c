"""Counters of interfaces are read as the kernel writes them."""

from pathlib import Path

from aiocontainer.network.interfaces import (
    NetworkInterface,
    parse_net_dev,
    read_interfaces,
)

# A file of a container with two interfaces, as captured.
TEXT = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     180       3    0    0    0     0          0         0      180       3    0    0    0     0       0          0
  eth0:123456789012  17    1    2    0     0          0         0     4321      12    4    5    0     0       0          0
"""  # noqa: E501


def test_each_interface_is_a_record() -> None:
    loopback, ethernet = parse_net_dev(TEXT)
    assert loopback == NetworkInterface("lo", 180, 3, 0, 0, 180, 3, 0, 0)
    assert ethernet == NetworkInterface("eth0", 123456789012, 17, 1, 2, 4321, 12, 4, 5)
    assert ethernet.to_dict()["TxDropped"] == 5


def test_a_process_that_is_gone_has_none(tmp_path: Path) -> None:
    assert read_interfaces(2**22 + 1) == ()
