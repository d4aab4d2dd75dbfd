"""Makes models without weights, for `--load-format dummy`: `python models.py FOLDER`, run by vLLM's own Python.

vLLM fills the weights with random numbers on the card. Memory and work are those of the real models, whose public
numbers stand here; the text is noise. No model hub is asked.
"""

from __future__ import annotations

import json
import string
import sys
from pathlib import Path

MISTRAL: dict[str, object] = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "max_position_embeddings": 32768,
    "sliding_window": None,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
SHAPES: dict[str, dict[str, object]] = {
    "tiny": {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8},
    # 14.5 GB
    "mistral-7b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
    # 281 GB: larger than any single card
    "mixtral-8x22b": {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "hidden_size": 6144,
        "intermediate_size": 16384,
        "num_hidden_layers": 56,
        "num_attention_heads": 48,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    },
    # 44.5 GB
    "codestral-22b": {
        "hidden_size": 6144,
        "intermediate_size": 16384,
        "num_hidden_layers": 56,
        "num_attention_heads": 48,
        "vocab_size": 32768,
    },
    # 39.8 GB
    "llama-3-70b-awq": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "vocab_size": 128256,
        "rope_theta": 500000.0,
        "max_position_embeddings": 8192,
        "torch_dtype": "float16",
        "quantization_config": {
            "quant_method": "awq",
            "bits": 4,
            "group_size": 128,
            "zero_point": True,
            "version": "gemm",
            # Not empty, else vLLM looks into the weights, which are not there, for what is quantized.
            "modules_to_not_convert": ["lm_head"],
        },
    },
}
VOCABULARY = 32000


def make(folder: Path, shape: dict[str, object]) -> None:
    """Write config and tokenizer into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**MISTRAL, "vocab_size": VOCABULARY, **shape}
    _write(folder / "config.json", config)
    _write(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2})
    _write_tokenizer(folder, int(str(config["max_position_embeddings"])), int(str(config["vocab_size"])))


def _write_tokenizer(folder: Path, longest: int, size: int) -> None:
    """Every id decodes to a text of its own, and every letter has an id, so that any text can be encoded."""
    from tokenizers import (  # type: ignore[import-not-found]
        AddedToken,
        Tokenizer,
        decoders,
        models,
        pre_tokenizers,
        processors,
    )

    special = ["<unk>", "<s>", "</s>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [first + second for first in string.ascii_lowercase for second in string.ascii_lowercase]
    pieces = list(dict.fromkeys([*special, *letters, *("Ġ" + pair for pair in pairs), *pairs]))
    pieces += [f"Ġw{number}" for number in range(len(pieces), size)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made.save(str(folder / "tokenizer.json"))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": "<unk>",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "model_max_length": longest,
            "chat_template": "{% for message in messages %}{{ message['content'] }}{% endfor %}",
        },
    )


def _write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name, shape in SHAPES.items():
        make(Path(sys.argv[1]) / name, shape)
