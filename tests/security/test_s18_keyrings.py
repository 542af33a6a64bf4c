"""S18: keys of the supervisor, and of other containers, are out of reach."""

import json
import os
from typing import Any

import pytest

from aiocontainer import PIPE, Container
from tests.support.capabilities import needs
from tests.support.inside import PYTHON, look, python_config

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="number of keyctl(2)"),
]

KEYCTL = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def keyctl(*arguments):
    return libc.syscall(ctypes.c_long(250), *arguments)
"""
# A keyring with the name that is guessed, which all may search and link.
TRAP = """
keyring = keyctl(1, ctypes.c_char_p(NAME))
done = keyctl(5, ctypes.c_long(keyring), ctypes.c_long(0x3F3F3F3F))
print(json.dumps([keyring, done]), flush=True)
sys.stdin.read()
"""
WHICH = "print(json.dumps(keyctl(0, ctypes.c_long(-3), 0)))"


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.mark.parametrize("name", ["_ses.victim", "victim", "_ses"])
async def test_a_keyring_that_was_laid_out_is_not_joined(name: str) -> None:
    """Named ones are found by name, whoever made them."""
    config = python_config(seccomp=None)
    async with Container(config) as attacker:
        source = f"NAME = {name.encode()!r}\n{KEYCTL}{TRAP}"
        args = [PYTHON, "-I", "-c", source]
        trap = await attacker.start(args, stdin=PIPE, stdout=PIPE)
        assert trap.stdout
        laid = json.loads(await trap.stdout.receive())
        assert laid[0] > 0
        assert laid[1] == 0
        assert await look(config, KEYCTL + WHICH, id="victim") not in (laid[0], -1)


async def test_each_process_of_a_container_has_its_own() -> None:
    """Not the first one's: nothing is gained by sharing."""
    config = python_config(seccomp=None)
    seen = set()
    async with Container(config) as container:
        for _ in range(3):
            args = [PYTHON, "-I", "-c", KEYCTL + WHICH]
            result = await container.run(args)
            seen.add(int(result.stdout))
    assert len(seen) == 3


async def test_keys_of_the_supervisor_are_not_listed() -> None:
    source = "print(__import__('json').dumps(len(open('/proc/keys').read())))"
    assert await look(python_config(), source) == 0
