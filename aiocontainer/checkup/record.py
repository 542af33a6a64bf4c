"""`Finding`: one line of a report, and the report as text."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

_WIDTH: Final = 88
_INDENT: Final = " " * 8


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a container may need."""

    name: str
    """``userns``, ``cgroup.memory``... where it can be required, as in
    `Config.require`."""
    works: bool
    detail: str
    """What was found, in a few words."""
    cause: str = ""
    """Why it doesn't work, or doesn't fully."""
    cure: str = ""
    """What the user, or who administers the machine, can do about it."""
    needed: bool = False
    """Without it there are no containers at all."""

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return dataclasses.asdict(self)


def render(findings: Iterable[Finding]) -> str:
    """The report as text for people: no line ends it."""
    lines: list[str] = []
    for finding in findings:
        mark = "ok" if finding.works else "NO" if finding.needed else "--"
        lines.append(f"  {mark}  {finding.name:<18} {finding.detail}".rstrip())
        for title, words in (("cause", finding.cause), ("cure", finding.cure)):
            if words:
                lines += textwrap.wrap(
                    f"{title}: {words}",
                    _WIDTH,
                    initial_indent=_INDENT,
                    subsequent_indent=_INDENT + " " * (len(title) + 2),
                    break_on_hyphens=False,
                )
    return "\n".join(lines)
