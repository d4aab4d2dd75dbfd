"""What is a secret, by its name or by its form: the one rule for what a profile may hold, what is shown, what is kept.

A profile is kept in every session and every export, so a key belongs in the environment and only its variable's name
in the profile. Pure, in time that grows with the size of the text.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import unquote

HIDDEN = "•••"
"""Stands for a secret on the screen."""
NOT_KEPT = "(not kept)"
"""Stands for a secret in what is written to a file."""

# fmt: off
_WORDS = frozenset({
    "apikey", "auth", "authorization", "bearer", "cookie", "cred", "creds", "credential", "credentials", "jwt", "key",
    "keys", "passphrase", "passwd", "password", "passwords", "secret", "secrets", "sig", "signature",
    "token", "tokens",
})
# Words are also written together: "HFTOKEN", "accesskey".
_ENDINGS = (
    "accesskey", "apikey", "apikeys", "authkey", "passwd", "password", "privatekey", "secret", "secretkey", "secrets",
    "token", "tokens",
)
# Secret at the end only: DB_PASS, but not pass_config (of a compiler). PWD alone is a folder, and a pat is a word.
_WORDS_AT_THE_END = frozenset({"pass", "pwd", "pat"})
_NO_SECRETS = frozenset({"pat", "pwd", "tiktoken"})
# Tokens that are counted, or of a vocabulary: max-num-batched-tokens, prefill_per_token_s, eos_token.
_OF_TEXT = frozenset({
    "audio", "batched", "bos", "budget", "cached", "cls", "completion", "count", "database", "decode", "eos",
    "generated", "ids", "image", "input", "mask", "max", "min", "num", "output", "pad", "per", "prefill", "prompt",
    "sep", "special", "stop", "threshold", "total", "unk", "video",
})
# fmt: on
# A number of such a name is a count, a place, a level: but a password may be a number.
_COUNTABLE = frozenset({"auth", "credentials", "key", "keys", "token", "tokens"})
_SWITCHES = frozenset(
    {"", "0", "1", "auto", "disabled", "empty", "enabled", "false", "no", "none", "null", "off", "on", "true", "yes"}
)
_MARKS = frozenset({HIDDEN, NOT_KEPT})
_NUMBER = re.compile(r"[-+]?[\d_.]{1,12}(e[-+]?\d{1,3})?$")
_REFERENCE = re.compile(r"\$(\w+|\{\w+\}|\(.*\))$|<[A-Za-z][A-Za-z _-]*>$")
_FORMS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:(?<!/)sk-(?=[\w-]*\d)[\w-]{4,}|hf_(?=\w*[A-Z0-9])[A-Za-z0-9]{6,}(?![\w/-])"
    r"|gh[pousr]_\w{4,}|github_pat_\w{4,}|glpat-[\w-]{4,}|xox[abpr]-[\w-]{4,}|A[KS]IA[A-Z0-9]{12,}|AIza[\w-]{20,}|nvapi-[\w-]{8,}|gsk_\w{8,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?<=Bearer )\S+|(?<=Basic )[A-Za-z0-9+/=]{8,})"
)
# One of these is in all that `_FORMS` finds: looked for first, long texts of numbers take a twentieth of the time.
_FORM_MARKS = (
    *(
        "sk-",
        "hf_",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "xoxa-",
        "xoxb-",
        "xoxp-",
        "xoxr-",
    ),
    *("AKIA", "ASIA", "AIza", "nvapi-", "gsk_", "eyJ", "Bearer ", "Basic "),
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*")
_UP_TO_SPACE = re.compile(r"[^\s\"'<>`]*")
_PORT_AND_PATH = re.compile(r"[^@/?#]*:\d{1,5}(?=[/?#])")
_QUERY = re.compile(r"[?&#;]([\w.%\[\]-]{1,80})=([^&#;\s\"'<>]+)")
_ASSIGNMENT = re.compile(r"(-{0,2}[A-Za-z_][\w.-]*)=(.+)", re.DOTALL)
_HEADER = re.compile(r"([A-Za-z][\w-]*):\s+(\S.*)", re.DOTALL)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_DEEPEST = 12
_SHORT = 6
# Texts for people, in which `--api-key` may be followed by any word: only what has the form of a secret is one.
_PROSE = frozenset({"name", "title", "notes"})

Place = tuple[str | int, ...]


class Found(NamedTuple):
    """A secret in a document, and where."""

    place: Place
    secret: str


def mentions_secret(name: str) -> bool:
    """Say whether a name speaks of a secret, be it of the variable that holds it: "api-key", "api_key_env"."""
    return bool(_telling_words(name))


def _telling_words(name: str) -> set[str]:
    words = [word for word in re.split(r"[^a-z]+", _CAMEL.sub("_", name).lower()) if word]
    telling = {word for word in words if word in _WORDS or (word.endswith(_ENDINGS) and word not in _NO_SECRETS)}
    if words and words[-1] in _WORDS_AT_THE_END and (len(words) > 1 or words[0] not in _NO_SECRETS):
        telling.add(words[-1])
    if {"key", "value"} <= set(words):  # num_key_value_heads
        telling -= {"key"}
    if not _OF_TEXT.isdisjoint(words):
        telling -= {"token", "tokens"}
    return telling


def is_secret_name(name: str) -> bool:
    """Say whether what has this name is a secret: "api-key", "HF_TOKENS", "DB_PASS"; not "prompt_tokens"."""
    return mentions_secret(name) and not name.lower().endswith("env")


def is_secret(name: str, value: str) -> bool:
    """Say whether `value` is a secret because of its name: not where it is a switch, a number or a reference."""
    bare = value.strip()
    if not is_secret_name(name) or bare in _MARKS or bare.lower() in _SWITCHES or _REFERENCE.match(bare):
        return False
    return _NUMBER.match(value) is None or not _telling_words(name) <= _COUNTABLE


def without_secrets(environment: Mapping[str, str], *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """Return an environment for a process that needs none of its secrets, but those whose names begin so."""
    return {name: value for name, value in environment.items() if name.startswith(but) or not is_secret(name, value)}


def secrets_in_text(text: str) -> list[str]:
    """Return the secrets in the value of an argument or a variable, whatever it is: a URL, JSON, a shell's command."""
    return list(dict.fromkeys(_in_text(text, 0)))


def secrets_in_words(words: Sequence[object]) -> list[tuple[int, str]]:
    """Return (place, secret) for each secret of a command line, after a flag or joined to one, in `NAME=X`, in
    `sh -c "..."`."""
    return list(dict.fromkeys(_in_words(words, 0)))


def secrets_in_command(command: str) -> list[str]:
    """Return the secrets of a command that is written as one line for a shell."""
    return [secret for _, secret in secrets_in_words(_split(command))]


def secrets_in_document(document: object) -> list[Found]:
    """Return the secrets of what TOML, YAML or JSON gives: tables, lists, texts. A list is taken for a command line."""
    return list(dict.fromkeys(Found(place, secret) for place, secret in _in_document(document, (), 0)))


def hide(text: str, secrets: Iterable[str], mark: str = HIDDEN) -> str:
    """Return `text` with `mark` in the place of each secret; a short one only where it stands alone."""
    for secret in sorted({*secrets}, key=len, reverse=True):
        if len(secret) >= _SHORT:
            text = text.replace(secret, mark)
        elif secret:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", lambda _: mark, text)
    return text


def hide_in_text(text: str, mark: str = HIDDEN) -> str:
    """Return `text` with `mark` in the place of what has the form of a secret: for texts of any kind."""
    return hide(text, _forms(text), mark)


def hide_in_words(words: Sequence[str], mark: str = HIDDEN) -> list[str]:
    """Return a command line with `mark` in the place of its secrets."""
    found: dict[int, list[str]] = {}
    for at, secret in secrets_in_words(words):
        found.setdefault(at, []).append(secret)
    return [hide(word, found.get(at, ()), mark) for at, word in enumerate(words)]


def hide_in_document(document: Any, mark: str = HIDDEN) -> Any:
    """Return a copy of a document with `mark` in the place of its secrets, wherever they stand in it."""
    found = secrets_in_document(document)
    return _mapped(document, (), {place for place, _ in found}, {secret for _, secret in found}, mark)


def _mapped(value: Any, place: Place, places: set[Place], secrets: set[str], mark: str) -> Any:
    if isinstance(value, dict):
        return {name: _mapped(inner, (*place, name), places, secrets, mark) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, (*place, at), places, secrets, mark) for at, inner in enumerate(value)]
    if isinstance(value, str):
        return hide(value, secrets, mark)
    return mark if place in places else value


# ---- where secrets stand


def _in_document(value: object, place: Place, depth: int) -> Iterator[tuple[Place, str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _named(str(name), inner, (*place, name), depth)
    elif isinstance(value, list):
        for at, secret in _in_words(value, depth):
            yield (*place, at), secret
        for at, inner in enumerate(value):
            if not isinstance(inner, str):
                yield from _in_document(inner, (*place, at), depth + 1)
    elif isinstance(value, str):
        for secret in _in_text(value, depth):
            yield place, secret


def _named(name: str, value: object, place: Place, depth: int) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield from ((place, secret) for secret in _of_value(name, value, depth))
    elif isinstance(value, list) and is_secret_name(name):
        for at, inner in enumerate(value):
            yield from _named(name, inner, (*place, at), depth + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if is_secret(name, str(value)):
            yield place, str(value)
    else:
        yield from _in_document(value, place, depth + 1)


def _of_value(name: str, value: str, depth: int) -> Iterable[str]:
    if name in _PROSE:
        return _forms(value)
    return [value] if is_secret(name, value) else _in_text(value, depth)


def _in_words(words: Sequence[object], depth: int) -> Iterator[tuple[int, str]]:
    flag = ""
    """The last flag, as long as only its values have followed."""
    for at, word in enumerate(words):
        if not isinstance(word, str):
            flag = ""
        elif word.startswith("-") and not _NUMBER.match(word):
            flag = "" if "=" in word else word
            yield from ((at, secret) for secret in _in_text(word, depth))
        elif flag and is_secret(flag, word):
            yield at, word
        else:
            yield from ((at, secret) for secret in _in_text(word, depth))


def _in_text(text: str, depth: int) -> Iterator[str]:
    yield from _forms(text)
    if depth > _DEEPEST:
        return
    assigned = _ASSIGNMENT.fullmatch(text)
    if assigned and not any(map(str.isspace, assigned[1])):
        name, value = assigned.groups()
        if is_secret(name, value.split(maxsplit=1)[0] if value.strip() else ""):
            yield value  # with all that follows: who can say where a quoted one ends?
        else:
            yield from _in_text(value, depth + 1)
        return
    header = _HEADER.fullmatch(text)
    if header and is_secret(*header.groups()):
        yield header[2]
    if text.lstrip()[:1] in ("{", "["):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            yield from (secret for _, secret in _in_document(document, (), depth + 1))
            return
    if any(map(str.isspace, text)):
        yield from (secret for _, secret in _in_words(_split(text), depth + 1))


def _split(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that does not end
        words = text.split()
    # What was one word, as `{"a b"}` is to split(), would come back forever.
    return [word for word in words if word != text]


def _forms(text: str) -> list[str]:
    found = [match[0] for match in _FORMS.finditer(text)] if any(mark in text for mark in _FORM_MARKS) else []
    found += [match[0] for match in _PRIVATE_KEY.finditer(text)]
    if "=" in text:
        found += [value for name, value in _QUERY.findall(text) if is_secret(unquote(name), value)]
    for before, rest in pairwise(text.split("://")):
        match = _UP_TO_SPACE.match(rest)
        userinfo = _userinfo(match[0] if match else "")
        # A name alone may be a token; not to ssh, where it says who logs in by what key.
        if userinfo and not (before.endswith("ssh") and ":" not in userinfo):
            found.append(userinfo)
    return [secret for secret in found if secret not in _MARKS]


def _userinfo(address: str) -> str:
    """Return the `name:password` of what follows "://"; a password may hold "/" where "host:8000/" is ruled out."""
    authority = re.split("[/?#]", address, maxsplit=1)[0]
    if ":" in authority and "@" in address and not _PORT_AND_PATH.match(address):
        return address.rpartition("@")[0]
    return authority.rpartition("@")[0]
