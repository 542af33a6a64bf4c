"""S5: where a program stands, and what is in its environment, changes no helper."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, run
from tests.support import trojans
from tests.support.capabilities import needs
from tests.support.programs import ROOT, program

pytestmark = [
    needs("root", "mount-namespace", "pid-namespace", "compiler"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="machine code of x86_64"),
]

RUN_ONE = """
import sys
sys.path[0] = sys.argv[2]  # instead of "", which would be this program's own mistake
import asyncio, os
from aiocontainer import Config, run
from aiocontainer.proc import spawner
os.chdir(sys.argv[3])
os.environ.update({"PYTHONPATH": sys.argv[3], "PYTHONHOME": sys.argv[3],
                   "PYTHONSTARTUP": sys.argv[3] + "/json.py", "PYTHONINSPECT": "1",
                   "PYTHONWARNINGS": "error", "LD_PRELOAD": sys.argv[3] + "/trojan.so",
                   "LD_AUDIT": sys.argv[3] + "/trojan.so", "MALLOC_CHECK_": "3",
                   "GCONV_PATH": sys.argv[3], "LOCPATH": sys.argv[3]})
result = asyncio.run(run(Config(rootfs=sys.argv[1]), ["env"]))
print(result.returncode, sorted(result.stdout.decode().split()))
proc = f"/proc/{spawner.peek().pid}/"
print(open(proc + "environ").read().split(chr(0)), os.readlink(proc + "cwd"))
"""


def test_neither_directory_nor_environment_loads_code_into_the_spawner(
    rootfs: Path, tmp_path: Path
) -> None:
    """Python takes modules from its directory and paths from its environment; the
    loader takes libraries. None of it reaches the process that serves as root."""
    for name in ("json", "os", "marshal", "select", "gc", "aiocontainer", "_prctl"):
        text = f"open({str(tmp_path / 'pwned')!r}, 'a').write({name!r})\n"
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "sitecustomize.py").write_text(text)
    (tmp_path / "usercustomize.py").write_text(text)
    trojans.compile_trojan(tmp_path)
    mark = Path("/") / trojans.MARK
    assert not mark.exists()
    arguments = (str(rootfs), str(ROOT), str(tmp_path))
    with program(RUN_ONE, *arguments) as child:
        assert child.line().startswith("0 ['HOME=/root', 'PATH=")
        assert child.line() == "[''] /"
        assert child.wait() == 0
    assert not (tmp_path / "pwned").exists()
    assert not mark.exists()


@pytest.mark.anyio
async def test_the_environment_of_a_container_is_not_the_helpers(
    rootfs: Path, anyio_backend: Any
) -> None:
    """It goes to execve and nowhere else."""
    evil = {
        "PATH": "/bin",
        "LD_PRELOAD": "/nothing.so",
        "PYTHONHOME": "/nowhere",
        "PYTHONMALLOC": "debug",
        "GCONV_PATH": "/nowhere",
        "LC_ALL": "tr_TR.UTF-8",
        "HOME": "/elsewhere",
    }
    result = await run(Config(rootfs=rootfs, env=evil), ["env"])
    assert sorted(result.stdout.decode().splitlines()) == sorted(
        f"{name}={value}" for name, value in evil.items()
    )
    assert sys.flags.isolated == 0, "the tests run as an ordinary program does"
