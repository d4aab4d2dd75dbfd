"""What containers, schedulers and shells put around the lines of a program's log, taken away. Pure.

Docker's json-file driver and CRI are described by their projects; the rest as compose, kubectl, journald, pm2 and srun
print. Several may stand before one another.
"""

from __future__ import annotations

import json
import re

_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_WRAPPER = re.compile(
    rf"^(?:{_ISO} (?:std(?:out|err) [FP] )?(?:\S+ [\w.@/-]+\[\d+\]: )?"  # docker -t, CRI, journald in ISO form
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \S+ [\w.@/-]+\[\d+\]: "  # journald, syslog
    r"|\[pod/[\w./-]+\] "  # kubectl logs --prefix
    r"|[\w.-]+ +\| "  # docker compose
    r"|\d+\|[\w.-]+ +\| "  # pm2
    r"|\d{1,5}: (?=\()"  # srun --label
    r")"
)
_DEEPEST = 4
_JSON_KEYS = ("log", "message", "msg")


def unwrapped(line: str) -> str:
    """Return what the program wrote. Lines without a wrapper are returned as they are."""
    for _ in range(_DEEPEST):
        if line.startswith("{"):
            inner = _of_json(line)
        else:
            found = _WRAPPER.match(line)
            inner = line[found.end() :] if found else None
        if inner is None:
            return line
        line = inner
    return line


def decoded(content: bytes) -> str:
    """Return the text of a log file: UTF-8, or UTF-16 as PowerShell's `>` writes it."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    return content.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")


def _of_json(line: str) -> str | None:
    """Return the line within a JSON object of a log driver; None for any other."""
    if not line.endswith("}") or not any(f'"{key}"' in line for key in _JSON_KEYS):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    texts = [found.get(key) for key in _JSON_KEYS]
    return next((text.rstrip("\r\n") for text in texts if isinstance(text, str)), None)
