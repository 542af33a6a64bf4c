"""On what the figures were measured."""

import os
import platform
import re
import subprocess
from pathlib import Path

from bench.cgroup_folders import hierarchies


def facts() -> dict[str, str]:
    """What a reader needs to compare with another machine."""
    return {
        "cpu": f"{_cpu()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "kernel": platform.release(),
        "cgroups": _cgroups(),
        "python": platform.python_version(),
        "peers": ", ".join(filter(None, map(_version, ("crun", "runc", "bwrap")))),
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }


def _cpu() -> str:
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    virtual = " (virtual machine)" if "hypervisor" in text else ""
    return (found[1] if found else platform.machine()) + virtual


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _cgroups() -> str:
    found = hierarchies()
    v1 = [h.controllers for h in found if h.controllers]
    v2 = [h for h in found if not h.controllers]
    parts = []
    if v1:
        parts.append(f"v1 ({', '.join(v1)})")
    parts += [f"v2 ({_v2_controllers(h.mount)})" for h in v2]
    return " + ".join(parts)


def _v2_controllers(mount: Path) -> str:
    return (mount / "cgroup.controllers").read_text().strip() or "no controllers"


def _version(tool: str) -> str | None:
    try:
        words = subprocess.run([tool, "--version"], capture_output=True, text=True)
    except FileNotFoundError:
        return f"{tool} missing"
    found = re.search(r"\d+\.\d+[\w.+~-]*", words.stdout)
    return f"{tool} {found[0]}" if found else tool
