"""On the PYTHONPATH of a Python without vLLM: `ray.serve.llm` is the module beside this one."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

NAME = "ray.serve.llm"


class Finder(importlib.abc.MetaPathFinder):
    """Finds that module alone."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where it is."""
        if fullname != NAME:
            return None
        return importlib.util.spec_from_file_location(NAME, Path(__file__).with_name("llm.py"))


sys.meta_path.insert(0, Finder())
