"""What every step is: data with a name, a form on the wire and a title for people."""

from __future__ import annotations

import os
import re
from typing import Any, ClassVar, Final, TypeAlias

Option: TypeAlias = tuple[bytes, bytes | None]
"""A file system's option: key and value, or None for a flag."""
Limits: TypeAlias = tuple[tuple[int, int, int], ...]
"""((resource, soft, hard), ...)"""
Passed: TypeAlias = tuple[tuple[int, int], ...]
"""((number in the program, index among the descriptors sent with the request), ...)"""

text: Final = os.fsdecode


class Step:
    """One thing that the child does."""

    __slots__: tuple[str, ...] = ()
    call: ClassVar[str]
    """What the helper calls it: the class's name, with underscores."""

    def __init_subclass__(cls) -> None:
        cls.call = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def wire(self) -> tuple[Any, ...]:
        """(name, arguments...), all of which ``marshal`` knows."""
        return (self.call, *(getattr(self, field) for field in self.__slots__))

    @property
    def title(self) -> str:
        """What is being done, for people: ``mount filesystem proc on /proc``."""
        words = self.call.replace("_", " ")
        return f"{words} {self._subject()}".rstrip()

    def _subject(self) -> str:
        return ""
