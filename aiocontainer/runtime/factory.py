"""`Runtime`: the factory of containers that others can find."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from ..config import BridgeNetwork, Config, ProcessChanges, UserNetwork
from ..config.base import StrPath
from ..errors import (
    ConfigError,
    ContainerExists,
    StateError,
    StatusError,
    UnsupportedFeature,
)
from ..proc.launch import Arg
from ..proc.stdio import DEVNULL, PIPE, StdioSource
from ..state import Store, check_id, is_leftover, status_of
from .collecting import collect, collect_one
from .configs import dumped, loaded
from .inside import reap_let_go
from .kept import KeptContainer
from .ledger import Ledger

if TYPE_CHECKING:
    from .listing import Listed

_LONGEST_ID = 64  # a host name's length: the id is the default of that


class Runtime:
    """Containers under one state root: what one program makes, others can load.

    All programs of one user that use the same root see the same containers. There is
    no daemon: a record in the root tells where a container is, and the kernel how it
    is.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        """Touch nothing yet.

        Args:
            root: the state root, made (mode 0700) when first needed; ``None`` is
                ``/run/aiocontainer`` for root, and ``aiocontainer`` below
                ``$XDG_RUNTIME_DIR`` for others.

        Raises:
            StateError: this user has no place for such files.
        """
        self._store = Store(root)

    def __repr__(self) -> str:
        return f"<Runtime {self.root}>"

    @property
    def root(self) -> str:
        """The state root."""
        return self._store.root

    async def create(
        self,
        id: str | None,
        config: Config,
        args: Sequence[Arg] | None = None,
        *,
        detach: bool = False,
        stdin: StdioSource = DEVNULL,
        stdout: StdioSource = DEVNULL,
        stderr: StdioSource = DEVNULL,
        terminal: bool | tuple[int, int] = False,
        pass_fds: Sequence[int] = (),
        console_socket: StrPath | None = None,
        pidfd_socket: StrPath | None = None,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ProcessChanges],
    ) -> KeptContainer:
        """Make a container, whose program waits to be begun by `KeptContainer.start`.

        Everything is done but the exec: a program that isn't there is told now. Any
        program may start it.

        Args:
            id: its name, for other programs, cgroup and host name; ``None`` makes one
                up. What a killed program left under it is removed first.
            config: what the container is.
            args: its own program, pid 1; ``None`` is the built-in init, for a container
                in which others are started.
            detach: it lives on without this program, until somebody destroys it. Its
                streams can't be ``PIPE`` then: these end with this program.
            stdin, stdout, stderr, terminal, pass_fds, settings: as `Container.start`.
            console_socket, pidfd_socket: as `Container.start`; sent when this returns.
            extra: anything that JSON can hold, kept with the record.

        Raises:
            ConfigError: something is wrong. Nothing was touched.
            UnsupportedFeature: ``detach``, with a network that lives with its program.
            ContainerExists: the id is taken.
            StateError: the state root can't be used.
            Others: as `Container.start`. Nothing is left, nor if it is cancelled.
        """
        if detach:
            _check_detached(config, stdin=stdin, stdout=stdout, stderr=stderr)
        container = self._new(config, id, extra, gated=True)
        await self._make_room(container.id)
        await container.create(
            args,
            detach=detach,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            terminal=terminal,
            pass_fds=pass_fds,
            console_socket=console_socket,
            pidfd_socket=pidfd_socket,
            settings=settings,
        )
        return container

    def container(self, config: Config, *, id: str | None = None) -> KeptContainer:
        """As `Container`, but other programs can find it while it is there.

        Nothing is touched before its first process is started.

        Raises:
            ConfigError: a wrong id.
            UnsupportedFeature: asked for, but not possible.
        """
        return self._new(config, id, None, gated=False)

    def load(self, id: str) -> KeptContainer:
        """A container that this or another program has made, with the whole API.

        Its block, or ``aclose``, gives it back; it is not destroyed by that.

        Raises:
            ConfigError: this can't be an id.
            ContainerNotFound: there is none.
            StatusError: it is still being made.
            StateError: its record can't be used: damaged, another program's, or made in
                another pid namespace.
        """
        reap_let_go()
        folder = self._store.open(id)
        try:
            record = folder.read()
            status = status_of(folder, record)
            if record.init is None:
                if not is_leftover(record):
                    raise StatusError(status, "load it")
                reason = "was left unfinished by a program that is gone: collect it"
                raise StateError(folder.path, reason)
            if not record.init.is_near:
                raise StateError(folder.path, "was made in another pid namespace")
            container = self._loaded(id, folder.path, record.config)
            container._ledger.open(folder, record)
        except BaseException:
            folder.close()
            raise
        container.adopt(record)
        return container

    def list(self) -> Sequence[Listed]:
        """All containers of the root, sorted by id.

        Raises:
            StateError: the root can't be used. A record that can't be is listed.
        """
        reap_let_go()
        from .listing import listed

        return listed(self._store)

    async def collect(
        self, *, stopped: bool = False, foreign: bool = False
    ) -> Sequence[str]:
        """Remove what programs have left that were killed, and their spawners too:
        processes, cgroups and records; records that are cut off or damaged as well.

        Containers of living programs, and detached ones, stay. Cancelled, the rest is
        left for another time.

        Args:
            stopped: remove detached containers that have ended, too.
            foreign: remove records, too, that other programs or later versions wrote.

        Returns:
            Their ids, sorted.

        Raises:
            CgroupBusy: a process can't be ended. All others were removed.
            StateError: something can't be removed, or the root can't be used.
        """
        reap_let_go()
        return await collect(self._store, stopped=stopped, foreign=foreign)

    # -- inside ------------------------------------------------------------------------

    def _new(
        self,
        config: Config,
        id: str | None,
        extra: Mapping[str, Any] | None,
        *,
        gated: bool,
    ) -> KeptContainer:
        name = os.urandom(6).hex() if id is None else check_id(id, _LONGEST_ID)
        ledger = Ledger(self._store, name, dumped(config), _checked_extra(extra))
        made_up = id is None and config.cgroup.name is None
        return KeptContainer(config, ledger, named_by_us=made_up, gated=gated)

    def _loaded(self, id: str, path: str, data: dict[str, Any]) -> KeptContainer:
        try:
            config = loaded(data)
        except ConfigError as error:
            raise StateError(
                path, f"has a config that can't be used: {error}"
            ) from error
        ledger = Ledger(self._store, id, data, {})
        return KeptContainer(config, ledger, named_by_us=False, gated=True)

    async def _make_room(self, id: str) -> None:
        """Remove what a killed program left under this id."""
        if id in self._store.ids() and not await collect_one(self._store, id):
            raise ContainerExists(id)


def _checked_extra(extra: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(extra or {})))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError("extra", f"can't be written as JSON: {error}") from None
    return found


def _check_detached(config: Config, **streams: StdioSource) -> None:
    for name, source in streams.items():
        if source == PIPE:
            raise ConfigError(name, "can't be a pipe of ours: the container lives on")
    if any(isinstance(one, BridgeNetwork | UserNetwork) for one in config.network):
        # Bridges, rules of nftables and the programs behind user networks are kept by
        # the program that made them.
        raise UnsupportedFeature(
            "such a network for a detached container",
            "it goes with the program that made it",
            "don't detach, or attach it by Veth to a bridge of your own",
        )
