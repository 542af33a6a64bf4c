"""What this machine and user can do, and for each lack the cause and the cure.

for finding in aiocontainer.doctor():
    print(finding.name, finding.works, finding.cause, finding.cure)
"""

from __future__ import annotations

from .findings import judge
from .machine import Machine
from .record import Finding, render

__all__ = ("Finding", "Machine", "doctor", "judge", "render")


def doctor() -> tuple[Finding, ...]:
    """Look at this machine as this user: in the order of a report, worst things first
    to know. Nothing is changed; attempts are made in a process of their own.

    Blocks for a tenth of a second: in an event loop call it by
    ``anyio.to_thread.run_sync``.
    """
    return judge(Machine.read())
