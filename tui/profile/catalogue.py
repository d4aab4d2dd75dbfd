"""Finds profiles and published tables by name: the user's own first, then the shipped ones."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from tui.core.address import address_of
from tui.core.errors import ProfileError, UsageError
from tui.core.files import write_new_file
from tui.core.nearest import did_you_mean
from tui.core.paths import user_profiles_dir
from tui.core.safe_text import safe_line, safe_text
from tui.core.toml_text import TomlError, parse_toml
from tui.profile.loader import load_profile
from tui.profile.schema import Profile

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
_NAME_LINE = re.compile(r"""^(name[ \t]*=[ \t]*)(?:"[^"\n]*"|'[^'\n]*')""", re.M)
_REFERENCE_OUTCOMES = frozenset({"ok", "failed"})
PRICE_LIST = "prices.toml"
"""Lies among the profiles and is none: what closed APIs cost."""

TEMPLATE = """\
name = "{name}"                            # as the file is named
title = ""
engine = "vllm"                            # the serving system

[server]                                   # vramp launches it ...
model = "mistralai/Mistral-7B-Instruct-v0.2"
executable = ["vllm", "serve"]
gpus = [0]

[server.args]                              # --key value; true = bare flag
gpu-memory-utilization = 0.9

# [attach]                                 # ... or it runs already: then this table instead of [server]
# base_url = "http://127.0.0.1:8000"
# api_key_env = "OPENAI_API_KEY"           # the variable's name, never the key
# headers = {{ api-key = {{ env = "NAME" }} }} # added to every request; secret ones by the name of a variable

[load]
users = [1, 2, 4, 8, 16, 32, 64, 128]
prompt_tokens = [31, 63, 119, 296, 480, 822, 2193]
output_tokens = 100
mode = "burst"                             # burst | steady | rate
# [load.body]                              # what requests have otherwise: a value, false = without, another name
# max_tokens = {{ as = "max_completion_tokens" }}
"""


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A profile that was found; `profile` is None when it has `problems`."""

    name: str
    path: Path
    profile: Profile | None
    problems: list[str]
    shipped: bool


@dataclass(frozen=True, slots=True)
class ReferenceCell:
    """One cell of a published table."""

    seconds: float | None
    """Time to resolve; None where the study has no figure."""
    outcome: str
    """ok or failed, as published."""


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A published table, and under which conditions it was measured, as far as it says."""

    cells: dict[tuple[int, int], ReferenceCell]
    """By (users, prompt tokens)."""
    model: str = ""
    gpus: str = ""
    output_tokens: int | None = None


def shipped_profiles_dir() -> Path:
    """Return the folder of the shipped profiles: in the installed package, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "shipped_profiles"
    return installed if installed.is_dir() else package.parent / "profiles"


def entries() -> list[ProfileEntry]:
    """Return all profiles, the user's own first, each group by name; an own one hides a shipped one of its name."""
    found: dict[str, ProfileEntry] = {}
    for folder, shipped in ((user_profiles_dir(), False), (shipped_profiles_dir(), True)):
        for path in _toml_files(folder):
            found.setdefault(path.stem, entry_of(path, shipped=shipped))
    return list(found.values())


def find(name_or_path: str) -> ProfileEntry:
    """Return the profile of that name, or the one in that file.

    Raises UsageError, with the nearest names, when there is neither; a profile with mistakes is returned with them.
    """
    for folder, shipped in ((user_profiles_dir(), False), (shipped_profiles_dir(), True)):
        for file in _toml_files(folder):
            if file.stem == name_or_path:
                return entry_of(file, shipped=shipped)
    path = Path(name_or_path)
    if path.suffix == ".toml" or _is_file(path):
        return entry_of(path, shipped=False)
    names = [file.stem for file in (*_toml_files(user_profiles_dir()), *_toml_files(shipped_profiles_dir()))]
    raise UsageError(_no_such("profile", name_or_path, names) + "; `vramp profiles list` shows all")


def entry_of(path: Path, *, shipped: bool = False) -> ProfileEntry:
    """Return the profile in `path` as an entry, with its mistakes if it has some. Never raises."""
    name = safe_line(path.stem, limit=80)
    try:
        return ProfileEntry(name, path, load_profile(path), [], shipped)
    except ProfileError as error:
        return ProfileEntry(name, path, None, error.problems, shipped)


def profile_text(entry: ProfileEntry) -> str:
    """Return the profile as it is written, without control characters. Raises UsageError when it cannot be read."""
    try:
        return safe_text(entry.path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{safe_line(str(entry.path))}: found it unreadable ({error})") from None


def new_profile(name: str) -> Path:
    """Write a profile to start from into the user's own folder and return its path; raises as `write_profile`."""
    return write_profile(name, TEMPLATE.format(name=name))


def attaching_profile(engine: str, base_url: str, *, verify: bool = True) -> Path:
    """Return the user's own profile that attaches to `base_url`, written where there is none yet; what else it says is
    the user's. It is named by the engine and the port. `verify`: whether its certificate is checked. Raises as
    `write_profile`."""
    name = f"found-{engine}-{address_of(base_url).port}"
    path = user_profiles_dir() / f"{name}.toml"
    known = entry_of(path, shipped=False).profile if path.exists() else None
    if known is not None and known.attach is not None and known.engine == engine and known.attach.base_url == base_url:
        return path
    lines = [f'name = "{name}"', f'engine = "{engine}"', "", "[attach]", f'base_url = "{base_url}"', ""]
    if not verify:
        lines.insert(-1, "verify = false")
    return write_profile(name, "\n".join(lines))


def write_profile(name: str, text: str) -> Path:
    """Write a profile into the user's own folder and return its path; never overwrites.

    Raises UsageError for a name that cannot be one, that is taken, or when the folder cannot be written.
    """
    if not _NAME.match(name) or f"{name}.toml" == PRICE_LIST:
        raise UsageError(f'found the name "{safe_line(name, limit=80)}", expected letters, digits, ".", "_" and "-"')
    return _write_new(name, text.encode())


def copy_profile(entry: ProfileEntry) -> Path:
    """Copy a profile as it is into the user's own folder, under its name, and return the copy; never overwrites.

    Raises UsageError when there is one already, or when it cannot be read or written.
    """
    try:
        content = entry.path.read_bytes()
    except OSError as error:
        raise UsageError(f"{entry.path}: cannot be read: {error.strerror}") from None
    return _write_new(entry.path.stem, content)


def copy_profile_as(entry: ProfileEntry, name: str) -> Path:
    """Copy a profile into the user's own folder under another name, and return the copy; never overwrites.

    Raises UsageError for a name that cannot be one or that a profile has already, the shipped ones included, and
    where the file cannot be read or written.
    """
    taken = next((other for other in entries() if other.name == name), None)
    if taken is not None:
        raise UsageError(f"{taken.path}: found a profile of that name already, expected a new name")
    try:
        text = entry.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{entry.path}: cannot be read: {error}") from None
    head, table, rest = text.partition("\n[")
    renamed = _NAME_LINE.sub(lambda found: f'{found[1]}"{name}"', head, count=1) + table + rest
    try:
        fits = parse_toml(renamed).get("name") == name
    except TomlError:
        fits = False
    if not fits:
        raise UsageError(f"{entry.path}: its key `name` was not found; copy the file by hand")
    return write_profile(name, renamed)


def _write_new(name: str, content: bytes) -> Path:
    path = user_profiles_dir() / f"{name}.toml"
    try:
        write_new_file(path, content)
    except FileExistsError:
        raise UsageError(f"{path}: found a profile of that name already, expected a new name") from None
    return path


def summary_row(entry: ProfileEntry) -> dict[str, str]:
    """Return an entry as one row of a list: name, engine, gpus, grid, state, title."""
    profile = entry.profile
    if profile is None:
        mistakes = len(entry.problems)
        state = f"{mistakes} mistake{'s' if mistakes > 1 else ''}"
        return {"name": entry.name, "engine": "", "gpus": "", "grid": "", "state": state, "title": ""}
    gpus = str(len(profile.server.gpus) or "any") if profile.server and not profile.simulated else ""
    return {
        "name": entry.name,
        "engine": str(profile.engine),
        "gpus": gpus,
        "grid": f"{len(profile.load.users)} x {len(profile.load.prompt_tokens)} {profile.load.mode}",
        "state": "shipped" if entry.shipped else "your own",
        "title": safe_line(profile.title, limit=80),
    }


def reference_names() -> list[str]:
    """Return the names of all published tables."""
    return sorted({path.stem for folder in _reference_dirs() for path in _files(folder, ".csv")})


def reference_table(name: str) -> dict[tuple[int, int], ReferenceCell]:
    """Return the cells of the published table of that name by (users, prompt tokens); raises as `published_table`."""
    return published_table(name).cells


def published_table(name: str) -> PublishedTable:
    """Return the published table of that name.

    Raises UsageError, with the nearest names, when there is none, or when a row cannot be read.
    """
    paths = [folder / f"{name}.csv" for folder in _reference_dirs()] if _NAME.match(name) else []
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise UsageError(_no_such("published table", name, reference_names()))
    cells: dict[tuple[int, int], ReferenceCell] = {}
    row: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cells[int(row["users"]), int(row["prompt_tokens"])] = _reference_cell(row)
        output_tokens = int(row["output_tokens"]) if row.get("output_tokens") else None
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        where = f"{path} after {len(cells)} rows"
        raise UsageError(f"{where}: found {safe_line(str(error), limit=120)}, expected a published table") from None
    model, gpus = (safe_line(row.get(key) or "", limit=60) for key in ("model", "gpus"))
    return PublishedTable(cells, model, gpus, output_tokens)


def _reference_cell(row: dict[str, str]) -> ReferenceCell:
    outcome = row["outcome"]
    if outcome not in _REFERENCE_OUTCOMES:
        raise ValueError(f'the outcome "{outcome}"')
    return ReferenceCell(float(row["seconds"]) if row["seconds"] else None, outcome)


def _reference_dirs() -> list[Path]:
    return [user_profiles_dir() / "references", shipped_profiles_dir() / "references"]


def _toml_files(folder: Path) -> list[Path]:
    return [path for path in _files(folder, ".toml") if path.name != PRICE_LIST]


def _files(folder: Path, suffix: str) -> list[Path]:
    try:
        files = [path for path in folder.iterdir() if path.suffix == suffix and path.is_file()]
        return sorted(files, key=lambda path: path.stem)
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a path may be, or with a NUL
        return False


def _no_such(what: str, name: str, known: list[str]) -> str:
    return f'found no {what} "{safe_line(name, limit=80)}"{did_you_mean(name, known, most=3, cutoff=0.4)}'
