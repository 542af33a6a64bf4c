"""``aiocontainer nsinit``: the command line of 2015, on ``container.json`` files."""

from .commands import nsinit_command

__all__ = ("nsinit_command",)
