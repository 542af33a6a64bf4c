"""Programs, of the host or the container, run at turns of a container's life."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from .base import (
    AbsolutePath,
    Environment,
    FrozenMap,
    Model,
    StrPath,
    Text,
)

__all__ = ("Hook", "Hooks")


def _alone(value: object) -> object:
    """One is as good as a list of one."""
    return (value,) if isinstance(value, Hook | Mapping) else value


class Hook(Model):
    """One program: it gets the container's state as JSON on its stdin, and nothing else
    of the caller's or of the container's but its own arguments and environment.

    It has failed when it can't be executed, ends with anything but status 0, or takes
    longer than its timeout.
    """

    path: AbsolutePath
    """On the host; of a start_container hook, in the container."""
    args: tuple[Text, ...] = ()
    """As execve(2) takes them, its name first; none is the path alone."""
    env: Environment = FrozenMap()
    """Its whole environment."""
    timeout: Annotated[float, Field(gt=0, le=1_000_000, strict=True)] | None = None
    """Seconds after which it is killed, with its process group, and has failed."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            path: StrPath,
            args: Iterable[str] = ...,
            env: Mapping[str, str] = ...,
            timeout: float | None = ...,
        ) -> None: ...


HookList = Annotated[tuple[Hook, ...], BeforeValidator(_alone)]


class Hooks(Model):
    """All hooks of a container, each list run in its order (OCI runtime-spec,
    POSIX-platform hooks). A failure of any but the poststop ones ends the container.
    """

    prestart: HookList = ()
    """By the program, with all namespaces and mounts made (deprecated by OCI in favour
    of the next)."""
    create_runtime: HookList = ()
    """The same, after them: this is the place for networks."""
    create_container: HookList = ()
    """In the container's namespaces, with the host's files still there: after those of
    the program, before the container's root becomes its root."""
    start_container: HookList = ()
    """In the finished container, as its user and with its rights: just before the
    program is executed. Its system call filter isn't in force yet, unless it was loaded
    early for want of ``no_new_privs``."""
    poststart: HookList = ()
    """By the program, once the container's own runs."""
    poststop: HookList = ()
    """By the program, once all of the container is gone. A failure is logged only."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            prestart: Hook | Iterable[Hook] = ...,
            create_runtime: Hook | Iterable[Hook] = ...,
            create_container: Hook | Iterable[Hook] = ...,
            start_container: Hook | Iterable[Hook] = ...,
            poststart: Hook | Iterable[Hook] = ...,
            poststop: Hook | Iterable[Hook] = ...,
        ) -> None: ...

    def __bool__(self) -> bool:
        return any(getattr(self, kind) for kind in Hooks.model_fields)
