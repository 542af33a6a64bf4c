"""How names are resolved in a container."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Self, TypeAlias

from pydantic import BeforeValidator, model_validator

from .addresses import Address
from .base import ConfigError, FrozenMap, Model, Text, as_map

__all__ = ("HOSTS_DNS", "AnyDns", "Dns")


class Dns(Model):
    """How names are resolved in the container: its ``/etc/resolv.conf``, ``/etc/hosts``
    and ``/etc/hostname``, made in memory and mounted over what is there."""

    servers: tuple[Address, ...] | None = None
    """``None`` is the host's; its own loopback ones are left out."""
    search: tuple[Text, ...] = ()
    """Domains to look in."""
    options: tuple[Text, ...] = ()
    """As in resolv.conf(5): ``"ndots:1"``."""
    hosts: Annotated[Mapping[Text, Address], *as_map] = FrozenMap()
    """Names beside the container's own and ``localhost``, with their addresses."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            servers: Iterable[str] | None = None,
            search: Iterable[str] = (),
            options: Iterable[str] = (),
            hosts: Mapping[str, str] = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _is_one_line_each(self) -> Self:
        fields = {"search": self.search, "options": self.options, "hosts": self.hosts}
        for field, words in fields.items():
            for index, word in enumerate(words):
                if not word or any(c.isspace() or c in "#;" for c in word):
                    at = word if field == "hosts" else index
                    raise ConfigError(f"{field}[{at}]", "should be one word")
        return self


def _as_dns(value: object) -> object:
    """A list of servers is short for a `Dns` with these."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {"servers": value}
    return value


AnyDns: TypeAlias = Annotated[Dns | None, BeforeValidator(_as_dns)]
HOSTS_DNS: Final = Dns()
"""The host's servers."""
