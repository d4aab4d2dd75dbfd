"""Makes a tokenizer of bytes in a folder, for peers that insist on one: nothing is fetched.

    python drivers/tiny_tokenizer.py FOLDER

The file's format is that of Hugging Face's tokenizers; its 256 letters are those of the ByteLevel pre-tokenizer: each
printable byte is its own, the others are the first characters from U+0100 on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PRINTABLE = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)}


def main(folder: Path) -> None:
    others = (chr(0x100 + number) for number in range(256))
    letters = [chr(byte) if byte in PRINTABLE else next(others) for byte in range(256)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer: dict[str, object] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {letter: number for number, letter in enumerate(sorted(letters))},
            "merges": [],
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
