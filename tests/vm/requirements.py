"""Print what the guest's Python needs from the package index, one line each.

    python requirements.py pyproject.toml

python-prctl has no wheel: the guest has Debian's package of it. Linters stay out.
"""

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

ELSEWHERE = {"python-prctl", "mypy", "ruff", "rich", "click"}

project = tomllib.loads(Path(sys.argv[1]).read_text())["project"]
extras = project["optional-dependencies"].values()
for line in chain(project["dependencies"], *extras):
    name = re.match(r"[\w.-]+", line)
    if name and name[0] not in ELSEWHERE:
        print(line)
