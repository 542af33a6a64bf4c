"""Values that come from strangers: arguments, environment, user, directory, names.

For a library the program is trusted and what it hands on often isn't.
"""

import contextlib
import os
import time
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiocontainer import Config, Container, ContainerError, run
from tests.support.capabilities import needs
from tests.support.rootfs import make_rootfs

pytestmark = needs("root", "mount-namespace", "pid-namespace")

EXAMPLES = 1000 if os.environ.get("AIOCONTAINER_SWEEP") == "full" else 60
MOST_S = 2.0

# Separators, traversal, format and shell characters, and what isn't text at all.
WORDS = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                " ",
                "/",
                ".",
                "..",
                "../../etc",
                "-",
                "--help",
                "-1",
                "a=b",
                "=",
                ":",
            ),
            *("\n", "\r\n", "\t", "\0", "%s%n", "${HOME}", "$(id)", "`id`", "*", "~"),
            *(
                "\udcff",
                "\ud800",
                "ü" * 100,
                "a" * 5000,
                "/" * 5000,
                "\u202e",
                "\x1b[2J",
            ),
            *("0", "1:2", "4294967295", "99999999999999999999", "root", "tester:audio"),
            *(
                "/proc/self/fd/3",
                "/proc/self/exe",
                "/proc/1/root/etc/shadow",
                "/dev/full",
            ),
        ]
    ),
    st.text(max_size=40),
    st.binary(max_size=40).map(os.fsdecode),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("values")
    return make_rootfs(folder / "rootfs", ["sh", "true", "env", "cat"])


def attempt(root: Any, args: list[Any], fields: dict[str, Any], joined: bool) -> None:
    """Start a program with these values; only typed errors come out, and soon."""

    async def start() -> None:
        with contextlib.suppress(ContainerError):
            if joined:
                async with Container(Config(rootfs=root)) as container:
                    await container.run(args, timeout=MOST_S, **fields)
            else:
                await run(Config(rootfs=root, **fields), args, timeout=MOST_S)

    began = time.monotonic()
    anyio.run(start)
    assert time.monotonic() - began < MOST_S


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "user": WORDS,
        "groups": st.lists(WORDS, max_size=2),
        "cwd": WORDS,
        "env": st.dictionaries(WORDS, WORDS, max_size=3),
        "umask": st.integers(-1, 1 << 20),
        "rlimits": st.dictionaries(
            st.sampled_from(["nofile", "stack", "as", "nproc", "fsize", "data", "x"]),
            st.one_of(st.integers(-2, 1 << 65), st.none()),
            max_size=2,
        ),
        "oom_score_adj": st.integers(-1001, 1001),
    },
)


@given(st.lists(WORDS, min_size=1, max_size=4), FIELDS, st.booleans())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_is_asked_for_ends_in_a_result_or_a_typed_error(
    root: Any, args: list[str], fields: dict[str, Any], joined: bool
) -> None:
    attempt(root, args, fields, joined)


@given(st.lists(WORDS, max_size=3))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_program_gets_exactly_the_words_it_was_to_get(
    root: Any, words: list[str]
) -> None:
    """No shell, no splitting, no decoding in between."""

    async def start() -> None:
        args = ["sh", "-c", 'printf "%s\\0" "$@"', "sh", *words]
        try:
            result = await run(Config(rootfs=root), args, timeout=MOST_S)
        except ContainerError:
            return
        said = result.stdout.split(b"\0")[:-1]
        assert said == ([os.fsencode(word) for word in words] or [b""])

    anyio.run(start)


HUGE = [
    pytest.param({"args": ["true", "x" * (1 << 18)]}, id="one long argument"),
    pytest.param({"args": ["true", *["x" * 100] * 50_000]}, id="5 MB of arguments"),
    pytest.param({"env": {"X": "x" * (1 << 18)}}, id="one long value"),
    pytest.param({"env": {f"X{n}": "x" * 50 for n in range(50_000)}}, id="many values"),
    pytest.param({"env": {"PATH": ":".join(["/x" * 100] * 2000)}}, id="a long PATH"),
    pytest.param({"args": ["x" * 5000]}, id="a long name"),
    pytest.param({"args": ["/" + "x/" * 2500]}, id="a long path"),
    pytest.param({"cwd": "/" + "x/" * 2000}, id="a deep directory"),
    pytest.param({"groups": list(range(70_000))}, id="more groups than there may be"),
    pytest.param({"hostname": "x" * 65}, id="a long host name"),
]


@pytest.mark.parametrize("values", HUGE)
def test_what_is_too_much_is_refused_soon(root: Any, values: dict[str, Any]) -> None:
    args = values.get("args", ["true"])
    fields = {name: value for name, value in values.items() if name != "args"}
    attempt(root, args, fields, joined=False)
    if "hostname" not in fields:
        attempt(root, args, fields, joined=True)
