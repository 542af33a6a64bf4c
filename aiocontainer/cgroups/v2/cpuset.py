"""v2 ``cpuset``: which cpus and memory nodes may be used."""

from __future__ import annotations

from typing import Final

from ..files import parse_list
from ..meter import Texts
from ..stats import CpusetStats

__all__ = ("FILES", "parse")

FILES: Final = ("cpuset.cpus.effective", "cpuset.mems.effective")
"""What is in force; the files of the limits are empty where none are set."""


def parse(texts: Texts) -> CpusetStats:
    """Both of them."""
    cpus, mems = (parse_list(texts[name].decode()) for name in FILES)
    return CpusetStats(cpus, mems)
