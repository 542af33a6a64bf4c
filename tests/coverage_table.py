"""Write ``docs/coverage.md`` from the marks of the tests: ``make coverage-table``."""

from pathlib import Path

from .support.coverage import table

PATH = Path(__file__).parents[1] / "docs/coverage.md"

if __name__ == "__main__":
    PATH.write_text(table())
