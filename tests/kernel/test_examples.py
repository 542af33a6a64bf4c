"""Every example does what it says, as a program of its own."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.networks import own_network
from tests.support.programs import Program, program

RUN = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "demo": [
        r"primes +│ 216816 primes below three million",
        r"hungry +│ oom_killed",
        r"endless +│ timed_out",
        r"multiplies +│ after 11 children",
    ],
    "oom_watch": [r"(run-\d: the kernel killed 1[^\n]*\n(?s:.*)){3}"],
    "live_stats": [r"MiB \(last\)\n\Z"],
    "seccomp_handler": [
        r"wants tmpfs on /mnt",
        r"Unix V7 PDP-11/45",
        r" /mnt tmpfs rw",
        r"wants ext4 on /mnt",
    ],
    "network": [
        r"the server has 10\.\d+\.0\.2, and port \d+ of this host",
        r"its neighbour reads: hello from web",
        r"this host reads: hello from web",
    ],
    "service": [
        r"it says: warming up\nit says: serving\nit answers: hello from web\n\Z",
    ],
    "rootless": [
        r"inside: root with \d range",
        r"outside: root inside is uid \d+",
        r"in force:.* no_new_privs .*pidns.* seccomp",
    ],
    "three_programs": [
        r"started: running as pid \d+",
        r"watching: \d+ KiB in use",
        r"ending: three-programs",
        r"seen: it ended with -9",
    ],
    "hot_mount": [r"before: nothing\nmounted: report.txt\nafter: nothing\n\Z"],
    "judge": [
        r"right +accepted",
        r"wrong +wrong answer",
        r"crashes +runtime error \(3\)",
        r"endless +time limit exceeded",
        r"hungry +memory limit exceeded",
        r"talkative +output limit exceeded",
        r"fork bomb +time limit exceeded .* 16 processes",
    ],
}


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", SAYS)
def test_an_example_says_what_it_is_to_show(name: str) -> None:
    arguments = (RUN, str(EXAMPLES / f"{name}.py"))
    alone = own_network() if name == "network" else contextlib.nullcontext()
    with alone, program(*arguments, env={"COLUMNS": "160"}) as child:
        said = "".join(f"{line}\n" for line in lines(child))
        assert child.wait() == 0, said
        assert child.left_behind() == []
    for pattern in SAYS[name]:
        assert re.search(pattern, said), said


def lines(child: Program) -> Iterator[str]:
    with contextlib.suppress(EOFError):
        while True:
            yield child.line(timeout_s=60)
