"""Intel RDT, with real containers and a fake resctrl: no test machine has one."""

import os
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Config,
    ConfigError,
    Container,
    SetupError,
    StatusError,
    UnsupportedFeature,
)
from aiocontainer import intel_rdt as rdt
from aiocontainer.config import IntelRdt
from aiocontainer.intel_rdt import RdtStats
from tests.support.capabilities import needs
from tests.support.resctrl import FakeResctrl

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

SLEEP = ["sleep", "60"]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture
def resctrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeResctrl:
    fake = FakeResctrl(tmp_path / "resctrl")
    monkeypatch.setattr(rdt, "find_resctrl", lambda: fake)
    return fake


def config(rootfs: Path, **fields: Any) -> Config:
    return Config(rootfs=rootfs, intel_rdt=IntelRdt(**fields))


def tasks(resctrl: FakeResctrl, *names: str) -> list[str]:
    return Path(resctrl.root, *names, "tasks").read_text().split()


def schemata(resctrl: FakeResctrl, name: str) -> list[str]:
    return Path(resctrl.root, name, "schemata").read_text().splitlines()


@pytest.mark.covers(
    "Intel RDT",
    "linux.intelRdt.schemata",
    "linux.intelRdt.l3CacheSchema",
    "linux.intelRdt.memBwSchema",
    where="fake",
)
async def test_a_container_has_a_class_of_its_own_that_goes_with_it(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    wanted = config(rootfs, schemata=["L3:0=f;1=f0"], mem_bw_schema="MB:0=20")
    async with Container(wanted, id="own") as container:
        process = await container.start(SLEEP)
        assert tasks(resctrl, "own") == [str(process.pid)]
        assert schemata(resctrl, "own") == ["L3:0=f;1=f0", "MB:0=20;1=100"]
        await container.start(SLEEP)
        # On the kernel's own file, "0" is whoever writes it.
        assert tasks(resctrl, "own")[0].startswith("0")
    assert not Path(resctrl.root, "own").exists()
    assert schemata(resctrl, ".") == ["L3:0=fff;1=fff", "MB:0=100;1=100"]


async def test_without_schemata_its_class_is_as_the_kernel_makes_it(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    async with Container(config(rootfs), id="own") as container:
        await container.start(SLEEP)
        assert schemata(resctrl, "own") == schemata(resctrl, ".")


@pytest.mark.covers("linux.intelRdt.closID", where="fake")
async def test_a_shared_class_is_joined_and_stays(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    resctrl.make(f"{resctrl.root}/gold")
    async with Container(config(rootfs, clos_id="gold")) as container:
        process = await container.start(SLEEP)
        assert tasks(resctrl, "gold") == [str(process.pid)]
    assert Path(resctrl.root, "gold").is_dir()


async def test_a_shared_class_has_to_be_there_or_to_have_schemata(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    async with Container(config(rootfs, clos_id="gold")) as container:
        with pytest.raises(SetupError, match="it isn't there"):
            await container.start(SLEEP)
    wanted = config(rootfs, clos_id="gold", l3_cache_schema="L3:0=ff")
    async with Container(wanted) as container:
        await container.start(SLEEP)
        assert schemata(resctrl, "gold")[0] == "L3:0=ff;1=fff"
        Path(resctrl.root, "gold/tasks").write_text("1\n")  # of another container
    assert Path(resctrl.root, "gold").is_dir()


async def test_a_class_that_was_made_for_one_goes_with_it_when_it_is_empty(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    wanted = config(rootfs, clos_id="gold", l3_cache_schema="L3:0=ff")
    async with Container(wanted) as container:
        await container.start(SLEEP)
        Path(resctrl.root, "gold/tasks").write_text("")  # as when the last one ends
    assert not Path(resctrl.root, "gold").exists()


@pytest.mark.parametrize(
    ("lines", "fits"),
    [
        pytest.param(["L3:0=fff"], True, id="the same"),
        pytest.param(["L3:00=0FFF;1=fff"], True, id="the same, spelled otherwise"),
        pytest.param(["L3:0=ff"], False, id="another mask"),
        pytest.param(["L3:0=fff", "MB:1=50"], False, id="another bandwidth"),
        pytest.param(["L2:0=f"], False, id="another cache"),
    ],
)
async def test_a_class_that_is_there_is_compared_and_not_changed(
    rootfs: Path, resctrl: FakeResctrl, lines: list[str], fits: bool
) -> None:
    resctrl.make(f"{resctrl.root}/gold")
    before = schemata(resctrl, "gold")
    wanted = config(rootfs, clos_id="gold", schemata=lines)
    async with Container(wanted) as container:
        if fits:
            await container.start(SLEEP)
        else:
            with pytest.raises(SetupError, match="it is there, with"):
                await container.start(SLEEP)
    assert schemata(resctrl, "gold") == before


async def test_the_root_class_may_be_monitored(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    wanted = config(rootfs, clos_id="/", enable_monitoring=True)
    async with Container(wanted, id="own") as container:
        process = await container.start(SLEEP)
        assert tasks(resctrl, "mon_groups", "own") == [str(process.pid)]
        assert container.rdt_stats() == {
            "mon_L3_00": RdtStats(4096, 1048576, None),
            "mon_L3_01": RdtStats(8192, 1048576, None),
        }
    assert not Path(resctrl.root, "mon_groups/own").exists()


@pytest.mark.covers("linux.intelRdt.enableMonitoring", where="fake")
async def test_of_a_class_of_its_own_all_is_counted(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    async with Container(config(rootfs)) as container:
        await container.start(SLEEP)
        assert set(container.rdt_stats()) == {"mon_L3_00", "mon_L3_01"}
    resctrl.make(f"{resctrl.root}/gold")
    async with Container(config(rootfs, clos_id="gold")) as container:
        await container.start(SLEEP)
        assert container.rdt_stats() == {}
    async with Container(Config(rootfs=rootfs)) as container:
        await container.start(SLEEP)
        assert container.rdt_stats() == {}


async def test_what_the_kernel_refuses_is_told_with_its_reason(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    wanted = config(rootfs, schemata=["L3:7=f"])
    async with Container(wanted, id="own") as container:
        with pytest.raises(SetupError, match="Unknown domain 7"):
            await container.start(SLEEP)
    assert not Path(resctrl.root, "own").exists()
    for number in range(4):
        resctrl.make(f"{resctrl.root}/{number}")
    async with Container(config(rootfs), id="own") as container:
        with pytest.raises(SetupError, match="Out of CLOSIDs"):
            await container.start(SLEEP)


async def test_somebody_elses_class_of_the_same_name_is_left_alone(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    resctrl.make(f"{resctrl.root}/own")
    async with Container(config(rootfs), id="own") as container:
        with pytest.raises(SetupError, match="File exists"):
            await container.start(SLEEP)
    assert Path(resctrl.root, "own").is_dir()


@pytest.mark.skipif(os.path.exists("/sys/fs/resctrl/schemata"), reason="it has one")
async def test_a_machine_without_resctrl_says_so(rootfs: Path) -> None:
    async with Container(config(rootfs)) as container:
        with pytest.raises(UnsupportedFeature, match="resctrl is not mounted"):
            await container.start(SLEEP)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("clos_id", {"clos_id": ""}),
        ("clos_id", {"clos_id": ".."}),
        ("clos_id", {"clos_id": "a/b"}),
        ("clos_id", {"clos_id": "info"}),
        ("clos_id", {"clos_id": "mon_groups"}),
        ("schemata[0]", {"schemata": ["L3:0=f\nMB:0=1"]}),
        ("schemata[1]", {"schemata": ["L3:0=f", "x"]}),
        ("schemata", {"schemata": ["L3:0=f", "L3:1=f"]}),
        ("schemata", {"schemata": ["MB:0=1"], "mem_bw_schema": "MB:1=1"}),
        ("schemata", {"clos_id": "/", "schemata": ["MB:0=1"]}),
        ("l3_cache_schema", {"l3_cache_schema": "MB:0=1"}),
        ("mem_bw_schema", {"mem_bw_schema": "L3:0=1"}),
        ("enable_monitoring", {"enable_monitoring": 1}),
    ],
)
def test_a_wrong_model_is_refused_by_its_path(
    field: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(rootfs="/x", intel_rdt=wrong)  # type: ignore[arg-type]
    assert caught.value.field == f"intel_rdt.{field}"


OCI: dict[str, Any] = {
    "ociVersion": "1.2.1",
    "root": {"path": "/x"},
    "process": {"cwd": "/", "args": ["true"]},
}


@pytest.mark.parametrize(
    ("said", "meant", "written"),
    [
        pytest.param({}, IntelRdt(), {}, id="empty"),
        pytest.param(
            {
                "closID": "gold",
                "schemata": ["L2:0=f"],
                "l3CacheSchema": "L3:0=f",
                "memBwSchema": "MB:0=10",
                "enableMonitoring": True,
            },
            IntelRdt(
                clos_id="gold",
                schemata=["L2:0=f"],
                l3_cache_schema="L3:0=f",
                mem_bw_schema="MB:0=10",
                enable_monitoring=True,
            ),
            None,
            id="everything",
        ),
        pytest.param(
            {"enableCMT": True, "enableMBM": False},
            IntelRdt(enable_monitoring=True),
            {"enableMonitoring": True},
            id="old names",
        ),
    ],
)
def test_oci_documents_say_the_same(
    said: dict[str, Any], meant: IntelRdt, written: dict[str, Any] | None
) -> None:
    config = Config.from_oci({**OCI, "linux": {"intelRdt": said}})
    assert config.intel_rdt == meant
    document = config.to_oci(["true"])
    assert document["linux"]["intelRdt"] == (said if written is None else written)


# -- changed while it runs -------------------------------------------------------------


async def test_a_class_of_its_own_can_be_changed(
    rootfs: Path, resctrl: FakeResctrl
) -> None:
    async with Container(config(rootfs, schemata=["L3:0=f"]), id="own") as container:
        with pytest.raises(StatusError):
            container.set_rdt(l3_cache_schema="L3:1=3")
        await container.start(SLEEP)
        container.set_rdt(l3_cache_schema="L3:1=3")
        assert schemata(resctrl, "own") == ["L3:0=f;1=3", "MB:0=100;1=100"]
        container.set_rdt(mem_bw_schema="MB:0=20")
        assert schemata(resctrl, "own") == ["L3:0=f;1=3", "MB:0=20;1=100"]
        with pytest.raises(SetupError, match="Mask out of range"):
            container.set_rdt(l3_cache_schema="L3:0=0")
        with pytest.raises(ConfigError):
            container.set_rdt(mem_bw_schema="L3:0=1")
    with pytest.raises(StatusError):
        container.set_rdt(l3_cache_schema="L3:1=3")


@pytest.mark.parametrize(
    "fields", [None, {"clos_id": "theirs"}], ids=["none", "shared"]
)
async def test_a_class_that_others_may_share_is_not_changed(
    rootfs: Path, resctrl: FakeResctrl, fields: dict[str, str] | None
) -> None:
    resctrl.make(f"{resctrl.root}/theirs")
    of = Config(rootfs=rootfs) if fields is None else config(rootfs, **fields)
    async with Container(of) as container:
        await container.start(SLEEP)
        with pytest.raises(UnsupportedFeature, match="no class of its own"):
            container.set_rdt(l3_cache_schema="L3:0=1")
    assert schemata(resctrl, "theirs") == ["L3:0=fff;1=fff", "MB:0=100;1=100"]
