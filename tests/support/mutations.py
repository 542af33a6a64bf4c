"""Foreign documents with some of their values changed, drawn by lot."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from .libcontainer_documents import SAMPLES as OLD_SAMPLES
from .libcontainer_documents import sample as old_sample
from .oci_documents import SAMPLES, sample

__all__ = ("OCI", "OLD", "TREES", "mutated")

ODD = st.sampled_from(
    [
        *(
            "",
            "/",
            "..",
            "\0",
            "\ud800",
            "a\nb",
            "/a/../..",
            "-1",
            "host",
            "bind",
            "ro",
        ),
        *("x" * 5000, "SCMP_ACT_ALLOW", "CAP_KILL", "NEWNS", "a:b:c", "RLIMIT_CORE"),
        *(0, -1, 1, 5, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64, 10**400, True, False),
        *(None, 1e308, -0.5, [], {}, [[]], [{}], {"": None}, [None], "unlimited"),
    ]
)
TREES = st.recursive(
    ODD | st.text(max_size=10) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["path", "type", "limit", "name", "a"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a document."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


OCI = {name: sample(name) for name in SAMPLES}
OLD = {name: old_sample(name) for name in OLD_SAMPLES}
PLACES = {name: sorted(places(d), key=str) for name, d in (OCI | OLD).items()}


@st.composite
def mutated(draw: Any, documents: dict[str, Any]) -> dict[str, Any]:
    """A sample with some of its values changed, left out, doubled or moved."""
    name = draw(st.sampled_from(sorted(documents)))
    whole = copy.deepcopy(documents[name])
    for _ in range(draw(st.integers(1, 4))):
        *steps, last = draw(st.sampled_from(PLACES[name]))
        at: Any = whole
        try:
            for step in steps:
                at = at[step]
            match draw(st.sampled_from(["change", "remove", "double", "move"])):
                case "change":
                    at[last] = draw(TREES)
                case "remove":
                    del at[last]
                case "double":
                    at[last] = [at[last], at[last]]
                case "move":
                    at[last] = copy.deepcopy(whole)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    return whole
