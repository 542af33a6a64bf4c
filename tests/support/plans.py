"""A plan to speak about, without a container."""

from aiocontainer import Config
from aiocontainer.plan import compile as plans
from aiocontainer.plan.compile import Plan, Program


def make_plan(config: Config | None = None) -> Plan:
    """The plan of ``/bin/true`` as a container's first process; touches nothing."""
    config = config or Config(rootfs="/srv/rootfs")
    return plans.first(plans.frame(config), "name", config, Program(("/bin/true",), ()))


PLAN = make_plan()
