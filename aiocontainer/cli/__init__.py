"""The command line for people. Needs ``aiocontainer[cli]``: click, and rich for top."""

from __future__ import annotations

import sys

__all__ = ("main",)


def main() -> None:
    """Run the command that the arguments name; never returns."""
    try:
        from .app import cli
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("aiocontainer: click is missing: pip install 'aiocontainer[cli]'")
    cli(prog_name="aiocontainer")
