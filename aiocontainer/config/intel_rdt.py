"""Shares of caches and of memory bandwidth, on processors that know any (resctrl)."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Self, TypeAlias

from pydantic import AfterValidator, model_validator

from .base import ConfigError, Flag, Model, Text

__all__ = ("IntelRdt",)

# As the kernel writes them: L3:0=ffff;1=ffff, also L3CODE, L3DATA, L2, MB, SMBA.
_LINE = r"[A-Z][A-Z0-9_]{0,15}:\s*[0-9A-Za-z=;. ]{1,4000}"
_RESERVED = ("info", "mon_groups", "mon_data")


def _schema(line: str) -> str:
    if not re.fullmatch(_LINE, line, re.ASCII):
        raise ConfigError("", "should be one line as 'L3:0=ffff;1=ffff'")
    return line


def _clos_id(name: str) -> str:
    if name == "/":
        return name
    if not re.fullmatch(r"[A-Za-z0-9_.@+-]{1,255}", name, re.ASCII):
        raise ConfigError("", "should be 1 to 255 of A-Z a-z 0-9 _.@+- or '/'")
    if name in (".", "..", *_RESERVED):
        raise ConfigError("", f"{name} has a meaning of its own in resctrl")
    return name


_Schema: TypeAlias = Annotated[Text, AfterValidator(_schema)]


def _of(resource: str) -> AfterValidator:
    def check(line: str) -> str:
        if not line.startswith(resource):
            raise ConfigError("", f"should begin with {resource}")
        return line

    return AfterValidator(check)


class IntelRdt(Model):
    """Class of service of a container's processes (OCI ``linux.intelRdt``;
    ``Documentation/filesystems/resctrl.rst`` in the kernel)."""

    clos_id: Annotated[Text, AfterValidator(_clos_id)] | None = None
    """Name of the group, which may be shared and there already; ``/`` is the root one.
    ``None`` is one of the container's own, by its id, which goes with it."""
    schemata: tuple[_Schema, ...] = ()
    """Lines of the group's ``schemata`` file, as ``L3:0=ffff;1=ffff``. An existing
    group has to have these already: it isn't changed under others."""
    l3_cache_schema: Annotated[_Schema, _of("L3")] | None = None
    """One more line, that of the third-level cache."""
    mem_bw_schema: Annotated[_Schema, _of("MB:")] | None = None
    """One more line, that of the memory bandwidth."""
    enable_monitoring: Flag = False
    """A monitoring group of the container's own, so that its share can be told even
    where it shares its class."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            clos_id: str | None = ...,
            schemata: Iterable[str] = ...,
            l3_cache_schema: str | None = ...,
            mem_bw_schema: str | None = ...,
            enable_monitoring: bool = ...,
        ) -> None: ...

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines of the schemata."""
        more = (self.l3_cache_schema, self.mem_bw_schema)
        return self.schemata + tuple(line for line in more if line is not None)

    @model_validator(mode="after")
    def _lines_differ(self) -> Self:
        names = [line.partition(":")[0] for line in self.lines]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError("schemata", f"{name} is there twice")
        if self.clos_id == "/" and self.lines:
            raise ConfigError("schemata", "the root group isn't changed")
        return self
