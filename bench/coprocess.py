"""One contestant: a process that waits for a line and answers it with a line of JSON.

All contestants of a figure are started before it is measured and take turns, so that
each meets the same machine: warm, and shared with the same neighbours.
"""

import contextlib
import json
import subprocess
from collections.abc import Sequence
from typing import Any, Self


class ContestantFailed(Exception):
    """The contestant ended, or said that it could not do it."""


class Coprocess:
    """Owns the process; `ask` it, then `close` it (or use it as a context manager)."""

    def __init__(self, argv: Sequence[str], **options: Any) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )
        self._argv = argv

    def ask(self, question: object) -> Any:
        """Send one line (text, number, or anything as JSON), await the answer."""
        self.tell(question)
        return self.answer()

    def answer(self) -> Any:
        """Wait for a line that comes unasked."""
        answer = self._process.stdout.readline()
        if not answer:
            raise ContestantFailed(self._ending())
        value = json.loads(answer)
        if isinstance(value, dict) and "error" in value:
            raise ContestantFailed(value["error"])
        return value

    def tell(self, question: object) -> None:
        """Send one line that has no answer."""
        plain = isinstance(question, str | int)
        line = str(question) if plain else json.dumps(question)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ContestantFailed(self._ending()) from None

    def _ending(self) -> str:
        return f"{' '.join(self._argv[:4])} ended with {self._process.wait()}"

    def close(self) -> None:
        """End of its input is its sign to clean up and end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def turns(times: int, contestants: dict[str, Any]) -> dict[str, list[float]]:
    """Let each contestant (a function giving samples) take turns, in rotation.

    The order moves on by one with every round, so nobody always follows the same one.
    """
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(times):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            samples[name].extend(contestants[name]())
    return samples
