"""Wrong OCI documents: each is a `ConfigError` that names the field in OCI's words."""

from typing import Any

import pytest

from aiocontainer.config import Config
from aiocontainer.config.bundle import Bundle, read_process, read_resources
from aiocontainer.errors import ConfigError, UnsupportedFeature

from ..support.bad_oci import BAD_OCI, BAD_SYSTEMD_PATHS, UNSUPPORTED
from ..support.oci_documents import minimal, with_field


def test_the_document_that_the_table_is_built_upon_is_right() -> None:
    assert Bundle.read(minimal()).warnings == ()


@pytest.mark.parametrize(
    ("field", "wrong"),
    [pytest.param(f, w, id=f"{n}-{f}"[:70]) for n, (f, w) in enumerate(BAD_OCI)],
)
def test_a_wrong_document_is_named_by_its_path(field: str, wrong: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_oci(wrong)
    assert caught.value.field == field
    assert caught.value.reason
    assert not caught.value.reason.endswith(".")


def test_the_table_of_wrong_documents_is_long() -> None:
    assert len(BAD_OCI) > 200


@pytest.mark.parametrize(("field", "value"), UNSUPPORTED)
def test_what_is_not_acted_on_is_refused_and_named(field: str, value: Any) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        Config.from_oci(with_field(field, value))
    assert caught.value.feature == field


@pytest.mark.parametrize("path", BAD_SYSTEMD_PATHS)
def test_a_path_for_systemd_has_three_parts(path: str) -> None:
    with pytest.raises(ConfigError, match=r"^linux\.cgroupsPath: "):
        Config.from_oci(with_field("linux.cgroupsPath", path), cgroup_manager="systemd")


def test_an_unknown_cgroup_manager_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown cgroup manager 'cgmanager'"):
        Config.from_oci(minimal(), cgroup_manager="cgmanager")  # type: ignore[arg-type]


def test_reasons_and_notes_use_the_words_of_the_document_too() -> None:
    document = with_field("linux.resources.cpu", {"quota": 5000, "burst": 6000})
    document["process"]["cwd"] = "relative"
    with pytest.raises(ConfigError) as caught:
        Config.from_oci(document)
    told = {str(caught.value), *(note[5:] for note in caught.value.__notes__)}
    assert told == {
        "process.cwd: should be an absolute path, not 'relative'",
        "linux.resources.cpu.burst: is more than quota",
    }


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"args": [], "cwd": "/"}, "args"),
        ({"args": ["x"]}, "cwd"),
        ({"args": ["x"], "cwd": "x"}, "cwd"),
        ({"args": ["x"], "cwd": "/", "user": {"uid": "x"}}, "user.uid"),
        ({"args": ["x"], "cwd": "/", "capabilities": {"effective": ["CAP_KILL"]}},
         "capabilities.effective"),
    ],
)  # fmt: skip
def test_paths_of_a_process_document_begin_there(document: Any, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_process(document)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], ""),
        ({"memory": {"limit": "x"}}, "memory.limit"),
        ({"pids": {"limit": 2**70}}, "pids.limit"),
        ({"blockIO": {"weight": 5}}, "blockIO.weight"),
    ],
)
def test_paths_of_a_resources_document_begin_there(document: Any, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_resources(document)
    assert caught.value.field == field
