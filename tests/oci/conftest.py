"""What tests of the command line share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.oci import Oci


@pytest.fixture
def oci(tmp_path: Path, rootfs: Path) -> Iterator[Oci]:
    """The runtime, whose containers go with the test."""
    runtime = Oci(tmp_path, rootfs)
    yield runtime
    runtime.clean_up()
