"""What works is shown by tests, and the table of it is made from them."""

import pytest

from ..coverage_table import PATH
from ..support.coverage import covers, table
from ..support.oci_fields import FEATURES, FIELDS, NOT_THERE

NAMES = [*FIELDS, *(name for names in FEATURES.values() for name in names)]


def test_no_name_is_there_twice() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_marks_name_what_is_in_the_lists() -> None:
    assert {cover.name for cover in covers()} - set(NAMES) == set()


def test_reasons_are_given_for_what_is_in_the_lists() -> None:
    assert set(NOT_THERE) - set(NAMES) == set()


def test_every_field_and_feature_has_a_test_or_a_reason() -> None:
    tested = {cover.name for cover in covers()}
    assert [name for name in NAMES if name not in tested | set(NOT_THERE)] == []


def test_every_field_but_for_words_is_tested_on_a_kernel_or_its_files() -> None:
    without = {cover.name for cover in covers()} - {
        cover.name for cover in covers() if cover.where != "unit"
    }
    # These have no effect that a kernel could show.
    assert without <= {
        "ociVersion",
        "linux.resources.memory.useHierarchy",
        "cache of compiled filters",
    }


def test_the_table_is_up_to_date() -> None:
    if PATH.read_text() != table():
        pytest.fail("docs/coverage.md is old: run make coverage-table")
