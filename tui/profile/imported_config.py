"""Makes a profile of a `vllm serve --config` file (YAML), read as vLLM itself reads it. The only user of PyYAML.

https://docs.vllm.ai/en/latest/configuration/serve_args.html: each key is a flag without its dashes; a list is a flag
with several words, a table a flag whose value is JSON.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w
import yaml

from tui.core.errors import ProfileError
from tui.core.safe_text import safe_line
from tui.core.secrets import secrets_in_document
from tui.profile.catalogue import write_profile
from tui.profile.loader import parse_profile, read_text
from tui.profile.mistakes import NOT_HERE
from tui.profile.schema import Profile

# Said by name, since [server] has keys of its own for them.
_OWN_KEYS = {"model": "model", "model-tag": "model", "host": "host", "port": "port"}

# Off by default, and without a --no-... to say so.
_ONLY_ON = frozenset({"aggregate-engine-logging", "data-parallel-multi-port-external-lb", "grpc", "headless"})


# With all its aliases written out. A few lines of them can stand for gigabytes.
MAX_NODES = 20_000


class _Loader(yaml.SafeLoader):
    """Safe types only, and aliases that stand for little."""

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        if _nodes_in(node, {}) > MAX_NODES:
            raise yaml.MarkedYAMLError(problem="aliases that stand for too much", problem_mark=node.start_mark)
        return self.construct_document(node)


def _nodes_in(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many nodes one stands for; more than allowed for one that holds itself."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MAX_NODES + 1  # until it is known: whoever asks meanwhile is within it
    inner = [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
    count = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(_nodes_in(each, known) for each in inner))
    known[id(node)] = count
    return count


Check = Callable[[Profile], list[str]]
"""What is wrong in a profile besides its form, a line each."""


def import_config(path: Path, name: str | None = None, check: Check | None = None) -> Path:
    """Write a profile of a config file into the user's own folder and return its path; by default, of the same name.

    Raises ProfileError for what is wrong with the file, UsageError for what is wrong with the name or the folder.
    """
    name = path.stem if name is None else name
    return write_profile(name, profile_of_config(path, name, check))


def profile_of_config(path: Path, name: str, check: Check | None = None) -> str:
    """Return the TOML of a profile called `name` that launches what a config file describes.

    Raises ProfileError with all that is wrong with the file, secrets in it included: those belong in the environment.
    """
    config = _read(path)
    problems: list[str] = []
    server: dict[str, Any] = {}
    args: dict[str, Any] = {}
    extra_args: list[str] = []
    for key, value in config.items():
        if not isinstance(key, str) or not key.strip("-"):
            problems.append(f"found the key {safe_line(str(key), limit=40)}, expected the name of a flag")
            continue
        flag = key.replace("_", "-")
        if isinstance(value, datetime.date):  # a revision, say: vLLM gets the text as it stands
            value = str(value)
        if value is None:
            continue
        if flag in _OWN_KEYS:
            server[_OWN_KEYS[flag]] = value
        elif isinstance(value, bool):
            args |= _switch(key, on=value)
        elif isinstance(value, dict):
            problems += _secrets_within(key, value)
            args[key] = _json(key, value, problems)
        elif isinstance(value, list):
            extra_args += [f"--{key}", *(str(item) for item in value)] if value else []
        else:
            args[key] = value
    if "model" not in server:
        problems.append("model: found nothing, expected the model's name or folder")
    if problems:
        raise _refusal(path, problems)
    server |= {"args": args} | ({"extra_args": extra_args} if extra_args else {})
    return _checked(path, {"name": name, "engine": "vllm", "server": server}, check)


def _read(path: Path) -> dict[Any, Any]:
    text = read_text(path, "a config file of vLLM (YAML)")
    try:
        config = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except RecursionError:
        raise _refusal(path, ["found values nested too deep, expected a config file of vLLM"]) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: numbers and dates that cannot be
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        hint = "; a flag without a value is written NAME: true" if "could not find expected ':'" in str(error) else ""
        reason = safe_line(getattr(error, "problem", None) or type(error).__name__, limit=120)
        raise _refusal(path, [f"{where}found a syntax error ({reason}), expected YAML{hint}"]) from None
    if not isinstance(config, dict) or not config:
        raise _refusal(path, ["found no keys, expected a config file of vLLM, as `model: NAME`"])
    return config


def _switch(key: str, *, on: bool) -> dict[str, Any]:
    """Return what a boolean becomes: vLLM takes `x: false` for --no-x, which matters where x is on by default."""
    flag = key.replace("_", "-")
    if on or flag in _ONLY_ON or flag.startswith(("no-", "disable-")):
        return {key: on}  # what switches something off is itself off by default
    return {f"no-{key}": True}


def _json(key: str, value: dict[Any, Any], problems: list[str]) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        problems.append(f"{safe_line(key, limit=40)}: found a value that is not JSON, expected texts and numbers")
        return ""


def _secrets_within(key: str, value: object) -> list[str]:
    """Return a line for each secret in a table, at any depth."""
    places = [".".join(map(str, found.place)) for found in secrets_in_document({key: value})]
    return [f"{safe_line(place, limit=80)}: {NOT_HERE}" for place in dict.fromkeys(places)]


def _checked(path: Path, document: dict[str, Any], check: Check | None) -> str:
    """Return the document as TOML once it has passed for a profile."""
    try:
        text = tomli_w.dumps(document)
    except TypeError as error:
        raise _refusal(path, [f"found a value that no flag can have ({safe_line(str(error), limit=80)})"]) from None
    profile = parse_profile(text, str(path))
    if check is not None and (problems := check(profile)):
        raise _refusal(path, problems)
    return text


def _refusal(path: Path, problems: list[str]) -> ProfileError:
    return ProfileError([f"{safe_line(str(path), limit=200)}: {problem}" for problem in problems])
