"""Makes a tiny Llama with random weights (about 2 MB): `python tiny_model.py FOLDER`, run by vLLM's own Python.

`python tiny_model.py FOLDER HIDDEN LAYERS` makes a larger one, whose steps take longer: 768 wide and 8 deep, 100 MB.

No model hub is asked. Texts of such a model are nonsense; its timing and its token counts are real.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

HIDDEN, LAYERS = 128, 2
HEAD, VOCABULARY, POSITIONS = 64, 2048, 8192
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}</s>{% endfor %}<|assistant|>"
)


def make(folder: Path, hidden: int = HIDDEN, layers: int = LAYERS) -> None:
    """Write config, weights and tokenizer into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(config(hidden, layers)))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2}))
    _write_weights(folder / "model.safetensors", hidden, layers)


def config(hidden: int, layers: int) -> dict[str, object]:
    """Return the model's config.json."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // HEAD,
        "num_key_value_heads": hidden // HEAD,
        "head_dim": HEAD,
        "intermediate_size": 2 * hidden,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": POSITIONS,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import ByteLevelBPETokenizer  # type: ignore[import-not-found]

    draw = random.Random(0)
    syllables = [consonant + vowel for consonant in "bdfghklmnprstvwz" for vowel in "aeiou"]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 3))) for _ in range(4000)]
    text = [" ".join(draw.choices(words, k=40)) for _ in range(2000)]
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        text, vocab_size=VOCABULARY, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "unk_token": "<unk>",
                "bos_token": "<s>",
                "eos_token": "</s>",
                "model_max_length": POSITIONS,
                "chat_template": CHAT_TEMPLATE,
            }
        )
    )


def _write_weights(file: Path, hidden: int, layers: int) -> None:
    import torch  # type: ignore[import-not-found]
    from safetensors.torch import save_file  # type: ignore[import-not-found]

    torch.manual_seed(0)

    def weights(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape) * 0.02).to(torch.bfloat16)

    tensors = {
        "model.embed_tokens.weight": weights(VOCABULARY, hidden),
        "model.norm.weight": torch.ones(hidden, dtype=torch.bfloat16),
        "lm_head.weight": weights(VOCABULARY, hidden),
    }
    for layer in range(layers):
        name = f"model.layers.{layer}."
        tensors |= {f"{name}self_attn.{part}_proj.weight": weights(hidden, hidden) for part in "qkvo"}
        tensors |= {f"{name}mlp.{part}_proj.weight": weights(2 * hidden, hidden) for part in ("gate", "up")}
        tensors[f"{name}mlp.down_proj.weight"] = weights(hidden, 2 * hidden)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{name}{norm}.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
    save_file(tensors, str(file), metadata={"format": "pt"})


if __name__ == "__main__":
    make(Path(sys.argv[1]), *map(int, sys.argv[2:4]))
