"""Device rules: what a list of them comes down to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocontainer.cgroups.v1.devices import (
    DeviceState,
    limits,
    parse_devices_list,
    reduce_rules,
)
from aiocontainer.config import DeviceRule
from aiocontainer.config.resources import DEFAULT_DEVICE_RULES
from aiocontainer.errors import UnsupportedFeature

DENY_ALL = DeviceRule(allow=False)


def rule(text: str) -> DeviceRule:
    """A rule written as ``+c 1:3 rw`` or ``-a``."""
    sign, words = text[0] == "+", text[1:].split()
    if words == ["a"]:
        return DeviceRule(allow=sign)
    kind, numbers, access = words
    major, minor = (None if n == "*" else int(n) for n in numbers.split(":"))
    return DeviceRule(allow=sign, type=kind, major=major, minor=minor, access=access)


def rules(*texts: str) -> tuple[DeviceRule, ...]:
    return tuple(rule(text) for text in texts)


def written(found: Any) -> list[str]:
    return [f"{'+' if w.file == 'devices.allow' else '-'}{w.value}" for w in found]


@pytest.mark.parametrize(
    ("given_rules", "writes"),
    [
        pytest.param((), [], id="nothing"),
        pytest.param(("-a",), ["-a"], id="deny all"),
        pytest.param(("-a", "+c 1:3 rw"), ["-a", "+c 1:3 rw"], id="allow one"),
        pytest.param(
            ("+c 1:3 r", "-a", "+c 1:5 rw"), ["-a", "+c 1:5 rw"], id="before deny all"
        ),
        pytest.param(
            ("-a", "+c 1:3 r", "+c 1:3 w"), ["-a", "+c 1:3 rw"], id="accesses add up"
        ),
        pytest.param(
            ("-a", "+c 1:3 rwm", "-c 1:3 w"), ["-a", "+c 1:3 rm"], id="taken back"
        ),
        pytest.param(
            ("-a", "+c 1:3 rw", "+c 1:5 rw", "-c 1:* rwm"), ["-a"], id="taken back wide"
        ),
        pytest.param(("-c 1:3 w",), ["+a", "-c 1:3 w"], id="deny one"),
        pytest.param(("-a", "+a"), ["+a"], id="all again"),
    ],
)
def test_rules_become_a_default_and_its_exceptions(
    given_rules: tuple[str, ...], writes: list[str]
) -> None:
    assert written(limits(rules(*given_rules), None)) == writes


def test_an_exception_from_an_exception_is_refused() -> None:
    with pytest.raises(UnsupportedFeature, match="c 1:3 m"):
        reduce_rules(rules("-a", "+c *:* m", "-c 1:3 m"))


def test_rules_of_the_same_devices_but_other_accesses_do_not_clash() -> None:
    found = reduce_rules(rules("-a", "+c *:* m", "-c 1:3 r"))
    assert found.exceptions == {("c", None, None): frozenset("m")}


def test_the_defaults_can_be_held_by_v1() -> None:
    found = reduce_rules(DEFAULT_DEVICE_RULES)
    assert not found.allow
    assert found.exceptions["c", 1, 3] == frozenset("rwm")


def test_the_list_of_the_kernel_is_read_back() -> None:
    assert parse_devices_list("a *:* rwm\n") == DeviceState(allow=True)
    assert parse_devices_list("c *:* m\nc 1:3 rw\nb 8:* r\n") == DeviceState(
        allow=False,
        exceptions={
            ("c", None, None): frozenset("m"),
            ("c", 1, 3): frozenset("rw"),
            ("b", 8, None): frozenset("r"),
        },
    )


def test_an_update_allows_before_it_denies_and_leaves_the_rest_alone() -> None:
    present = "c 1:3 rwm\nc 1:5 rwm\n"
    wanted = rules("-a", "+c 1:3 rw", "+c 1:7 rw", "+c 1:5 rwm")
    found = limits(wanted, {"devices.list": present}.get)
    assert written(found) == ["+c 1:7 rw", "-c 1:3 m"]
    assert [w.inverse for w in found] == [
        ("devices.deny", "c 1:7 rw"),
        ("devices.allow", "c 1:3 m"),
    ]


KEYS = st.tuples(
    st.sampled_from("cb"),
    st.sampled_from((None, 1, 2)),
    st.sampled_from((None, 3, 4)),
)
RULES = st.lists(
    st.one_of(
        st.builds(DeviceRule, allow=st.booleans()),
        st.builds(
            lambda allow, key, access: DeviceRule(
                allow=allow, type=key[0], major=key[1], minor=key[2], access=access
            ),
            st.booleans(),
            KEYS,
            st.sampled_from(("r", "w", "m", "rw", "rwm")),
        ),
    ),
    max_size=6,
)


@given(RULES, st.sampled_from("cb"), st.sampled_from((1, 2)), st.sampled_from((3, 4)))
def test_the_last_rule_that_matches_counts_in_what_they_come_down_to(
    given_rules: list[DeviceRule], kind: str, major: int, minor: int
) -> None:
    try:
        state = reduce_rules(given_rules)
    except UnsupportedFeature:
        return
    for letter in "rwm":
        wanted = True
        for one in given_rules:
            if (
                one.type in ("a", kind)
                and one.major in (None, major)
                and one.minor in (None, minor)
                and letter in one.access
            ):
                wanted = one.allow
        excepted = any(
            letter in letters
            for (k, a, i), letters in state.exceptions.items()
            if k == kind and a in (None, major) and i in (None, minor)
        )
        assert (state.allow != excepted) == wanted
