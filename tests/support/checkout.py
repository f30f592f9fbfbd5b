"""A copy of this checkout with functions added, by the steps of the README."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.system import REPOSITORY

ECHO = '''
"""echo-name: answers what it was sent, and who sent it."""

from __future__ import annotations

from pydantic import BaseModel

from functions.runtime.triggers import http
from functions.tasks.models import Caller


class Word(BaseModel):
    word: str


class Echo(BaseModel):
    word: str
    name: str


@http("GET", "/api/echo/{word}")
def echo_name(query: Word, caller: Caller) -> Echo:
    return Echo(word=query.word, name=caller.name)
'''


def with_added_functions(folder: Path) -> Path:
    """The copy in `folder`: with the README's own example (label-ring) and an HTTP function (echo-name), rendered."""
    copied = ("functions", "tools", "components", "bindings", "docs", "README.md")
    for name in copied:
        source, target = REPOSITORY / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (example,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    (folder / "functions" / "label_ring.py").write_text(example)
    (folder / "functions" / "echo_name.py").write_text(ECHO.lstrip())
    subprocess.run([sys.executable, "-m", "functions.runtime.render"], cwd=folder, check=True, capture_output=True)
    return folder
