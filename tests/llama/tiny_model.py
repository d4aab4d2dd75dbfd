"""Makes a tiny Llama in GGUF with random weights (about 450 kB): `python tiny_model.py FILE`, with the package gguf.

`python tiny_model.py FILE WIDTH` makes a larger one: 2048 wide, 100 MB.

Its tokens are the 256 bytes, a space with each small letter (ids 256 to 281), and the two marks of a text. So a text of
letters with spaces between has as many tokens as letters.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf  # type: ignore[import-not-found]
import numpy as np  # type: ignore[import-not-found,unused-ignore]

LAYERS, WIDTH, HEADS, KV_HEADS, CONTEXT = 2, 64, 4, 2, 4096
FLOAT = np.float32


def _letter_of_byte() -> list[str]:
    """Return the printable letter that stands for each byte in a byte-level vocabulary (GPT-2's)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def make(file: Path, width: int = WIDTH) -> None:
    """Write a model of this width."""
    letters = _letter_of_byte()
    space = letters[ord(" ")]
    small = [letters[code] for code in range(ord("a"), ord("z") + 1)]
    tokens = [*letters, *(space + letter for letter in small), "<s>", "</s>"]
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - 2) + [gguf.TokenType.CONTROL] * 2
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{space} {letter}" for letter in small])
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    _add_weights(writer, len(tokens), width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_weights(writer: gguf.GGUFWriter, vocabulary: int, width: int) -> None:
    draw = np.random.default_rng(0)

    def weights(rows: int, columns: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        return (draw.standard_normal((rows, columns)) * 0.05).astype(FLOAT)

    writer.add_tensor("token_embd.weight", weights(vocabulary, width))
    writer.add_tensor("output_norm.weight", np.ones(width, FLOAT))
    writer.add_tensor("output.weight", weights(vocabulary, width))
    keys = width // HEADS * KV_HEADS
    shapes = {
        "attn_q": (width, width),
        "attn_k": (keys, width),
        "attn_v": (keys, width),
        "attn_output": (width, width),
        "ffn_gate": (2 * width, width),
        "ffn_up": (2 * width, width),
        "ffn_down": (width, 2 * width),
    }
    for layer in range(LAYERS):
        for name, (rows, columns) in shapes.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", weights(rows, columns))
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(width, FLOAT))


if __name__ == "__main__":
    make(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
