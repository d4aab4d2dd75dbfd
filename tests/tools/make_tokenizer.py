"""Makes a tokenizer by which other tools count nearly as the simulated server does: a token for a word, or a sign.

    python make_tokenizer.py FOLDER [TEXT...]

Run by the Python of a tool's own environment, which has `tokenizers`. The words are those of the files given, from
which tools take their prompts; without files made-up ones, for tools that draw ids: fewer than the simulated server can
remember, which counts those that it has no room for letter by letter.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import product
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers  # type: ignore[import-not-found]

# As tui/simulator/vocabulary.py has it.
PIECE = r" ?[A-Za-z]{1,12}|[\s\S]"


def main() -> None:
    folder, *texts = map(Path, sys.argv[1:])
    # What is drawn by its id must be the same after it was written and read again: words alone, each with its space.
    words: dict[str, None] = dict.fromkeys(chr(code) for code in range(256)) if texts else {}
    for path in texts:
        for word in dict.fromkeys(re.findall("[A-Za-z]{1,12}", path.read_text(encoding="utf-8", errors="replace"))):
            for form in (word, word.capitalize()):
                words |= dict.fromkeys([form, f" {form}"])
    consonants, vowels = "bdfgklmnprst", "aeiou"
    if not texts:
        words |= dict.fromkeys(" " + "".join(letters) for letters in product(consonants, vowels, consonants, vowels))
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for word in words:
        vocabulary.setdefault(word, len(vocabulary))
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
