"""JSON without the package of that name: the same values, the same texts."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiocontainer.state import quick_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(VALUES)
@settings(deadline=None)
def test_values_have_the_text_that_json_gives_them(value: object) -> None:
    assert quick_json.dumps(value) == json.dumps(value, indent=2)
    assert quick_json.dumps(value, "\t") == json.dumps(value, indent="\t")
    assert quick_json.line(value) == json.dumps(value)


@given(VALUES, st.sampled_from([None, 0, 1]), st.text(" \t\r\n", max_size=3))
@settings(deadline=None)
def test_texts_have_the_value_that_json_finds(
    value: object, indent: int | None, around: str
) -> None:
    for is_ascii in (True, False):
        text = around + json.dumps(value, indent=indent, ensure_ascii=is_ascii) + around
        assert quick_json.loads(text.encode("utf-8", "replace")) == json.loads(
            text.encode("utf-8", "replace")
        )


@given(st.text(' \t\n"\\{}[]:,-+.0123456789eEtrufalsnINy\x00\u00a0ä', max_size=12))
@settings(max_examples=500, deadline=None)
def test_what_json_refuses_is_refused(text: str) -> None:
    data = text.encode()
    try:
        value = json.loads(data.decode())
    except ValueError:
        with pytest.raises(ValueError):
            quick_json.loads(data)
    else:
        assert repr(quick_json.loads(data)) == repr(value)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b" \n", id="only-space"),
        pytest.param(b"{} {}", id="two-values"),
        pytest.param(b'{"a": 1', id="cut-off"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="utf-16"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param(b'"\xff"', id="no-utf-8"),
        pytest.param(b'"\t"', id="control-character"),
        pytest.param("\u00a0{}".encode(), id="another-kind-of-space"),
    ],
)
def test_what_is_no_json_in_utf_8_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        quick_json.loads(data)


def test_what_is_too_deep_is_refused() -> None:
    with pytest.raises(RecursionError):
        quick_json.loads(b"[" * 100_000)


def test_the_last_of_two_same_names_counts_and_constants_are_numbers() -> None:
    assert quick_json.loads(b'{"a": 1, "a": 2}') == {"a": 2}
    assert quick_json.loads(b"[Infinity, -Infinity]") == [float("inf"), -float("inf")]


@pytest.mark.parametrize("write", [quick_json.line, quick_json.dumps])
def test_what_is_no_value_has_no_text(write: Callable[[object], str]) -> None:
    with pytest.raises(TypeError):
        write({"a": object()})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("sys.modules['_json'] = None", id="missing"),
        pytest.param("import _json; del _json.make_scanner", id="without-the-reader"),
        pytest.param(
            "import _json; real = _json.make_scanner; "
            "_json.make_scanner = lambda wanted: (wanted.memo, real(wanted))[1]",
            id="that-asks-for-more",
        ),
        pytest.param("import _json; del _json.make_encoder", id="without-the-writer"),
    ],
)
def test_where_the_c_code_is_missing_or_another_the_package_does_it(
    change: str,
) -> None:
    source = (
        f"import sys; {change}\n"
        "from aiocontainer.state import quick_json\n"
        "assert quick_json.loads(b'{\"a\": [1, null]} ') == {'a': [1, None]}\n"
        "assert quick_json.line(['\\xe4', 1.5]) == '[\"\\\\u00e4\", 1.5]'\n"
        "assert quick_json.dumps({'a': ['\\xe4']}) == "
        '\'{\\n  "a": [\\n    "\\\\u00e4"\\n  ]\\n}\'\n'
    )
    subprocess.run([sys.executable, "-c", source], check=True, timeout=30)
