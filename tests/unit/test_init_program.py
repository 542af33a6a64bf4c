"""The built-in init is what its source says."""

import shutil
import subprocess
from pathlib import Path

import pytest

from aiocontainer.proc import helper
from aiocontainer.proc.helper import init_program

SOURCES = Path(helper.__file__).parent
PREFIXES = {"x86_64": "", "aarch64": "aarch64-linux-gnu-"}


@pytest.mark.parametrize("machine", PREFIXES)
def test_the_bytes_are_the_assembled_source(machine: str, tmp_path: Path) -> None:
    prefix = PREFIXES[machine]
    if shutil.which(f"{prefix}as") is None:
        pytest.skip(f"no assembler for {machine} (binutils-{prefix.rstrip('-')})")
    made, text = tmp_path / "init.o", tmp_path / "init.bin"
    source = SOURCES / f"init_{machine}.S"
    subprocess.run([f"{prefix}as", source, "-o", made], check=True)
    subprocess.run(
        [f"{prefix}objcopy", "-O", "binary", "-j", ".text", made, text], check=True
    )
    assert init_program.elf(machine).endswith(text.read_bytes())


def test_it_fits_a_page() -> None:
    for machine in PREFIXES:
        assert len(init_program.elf(machine)) < 4096
