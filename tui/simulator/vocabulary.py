"""A made-up vocabulary: ids to text and back, so that a simulated server can tokenize.

Ids: four special tokens, then the 256 bytes, then words. A word of up to 12 letters, with or without a space before
it, is one token, as common words are in the byte-level BPE vocabularies of real models; all else goes byte by byte.
A word's id follows from its letters; it is remembered so that it can be read back, and where two words want the same
id the later one gets the next. Words never seen have made-up texts. One process, one vocabulary.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

SIZE = 32000
START, END, USER, ASSISTANT = range(4)
_FIRST_BYTE = 4
_FIRST_WORD = _FIRST_BYTE + 256
_WORDS = SIZE - _FIRST_WORD
# Beyond this, new words go byte by byte: finding a free id would take long.
_MOST_WORDS = _WORDS * 3 // 4
_PIECE = re.compile(r" ?[A-Za-z]{1,12}|.", re.DOTALL)
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnp" for vowel in "aeio"]

_ids: dict[str, int] = {}
_texts: dict[int, str] = {}


def encode(text: str) -> list[int]:
    """Return the token ids of `text`."""
    tokens: list[int] = []
    for piece in _PIECE.findall(text):
        word = _word_id(piece) if piece[-1].isascii() and piece[-1].isalpha() else None
        if word is not None:
            tokens.append(word)
        else:
            tokens.extend(_FIRST_BYTE + byte for byte in piece.encode("utf-8", "surrogatepass"))
    return tokens


def encode_messages(messages: Iterable[tuple[str, str]]) -> list[int]:
    """Return the token ids of a conversation, given as (role, text), with what a chat template adds."""
    tokens = [START]
    for role, text in messages:
        tokens.append(ASSISTANT if role == "assistant" else USER)
        tokens.extend(encode(text))
        tokens.append(END)
    tokens.append(ASSISTANT)
    return tokens


def decode(tokens: Sequence[int]) -> str:
    """Return the text of `tokens`; special tokens and ids out of the vocabulary have none."""
    raw = bytearray()
    for token in tokens:
        if _FIRST_BYTE <= token < _FIRST_WORD:
            raw.append(token - _FIRST_BYTE)
        elif _FIRST_WORD <= token < SIZE:
            raw += _texts.get(token, _made_up(token)).encode()
    return raw.decode("utf-8", "replace")


@lru_cache(maxsize=4096)
def text_json(tokens: tuple[int, ...]) -> bytes:
    """Return the text of `tokens` as a JSON string."""
    return msgspec.json.encode(decode(tokens))


def answer_token(seed: int, position: int) -> int:
    """Return the token that the simulated model says at `position` of an answer: made up, the same every time."""
    return _FIRST_WORD + (seed * 7919 + position * 104729 + position * position * 31) % _WORDS


def spoken_token(position: int) -> int:
    """Return the token at `position` of an answer that a person may read: it says that nobody has thought of it."""
    return _SPOKEN[position % len(_SPOKEN)]


def prefix_hashes(tokens: Sequence[int], block_size: int) -> list[int]:
    """Return one hash per full block of `tokens`, each covering all tokens before it."""
    hashes: list[int] = []
    previous = 0
    for start in range(0, len(tokens) - block_size + 1, block_size):
        previous = hash((previous, *tokens[start : start + block_size]))
        hashes.append(previous)
    return hashes


def _word_id(word: str) -> int | None:
    known = _ids.get(word)
    if known is not None or len(_ids) >= _MOST_WORDS:
        return known
    token = _FIRST_WORD + zlib.crc32(word.encode()) % _WORDS
    while token in _texts:
        token = token + 1 if token + 1 < SIZE else _FIRST_WORD
    _ids[word] = token
    _texts[token] = word
    return token


def _made_up(token: int) -> str:
    number, word = token - _FIRST_WORD, " "
    for _ in range(3):
        number, syllable = divmod(number, len(_SYLLABLES))
        word += _SYLLABLES[syllable]
    return word


# Before any other text, so that its words have their ids.
_SPOKEN = encode(
    "This answer is SIMULATED. No model has read your question: these words only take the time that a model would take"
    " for them, beside all the others who ask at this moment. "
)
