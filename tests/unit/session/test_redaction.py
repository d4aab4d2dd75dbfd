from __future__ import annotations

import json

from tests.unit.session import made
from tui.core.secrets import NOT_KEPT
from tui.session.redaction import without_secrets

_PROFILE = {
    "name": "p",
    "server": {
        "model": "m",
        "env": {"HF_TOKEN": "hf_abcdef", "VLLM_LOGGING_LEVEL": "INFO", "AWS_SECRET_ACCESS_KEY": "s3cr3t"},
        "args": {"api-key": "sk-1234", "max-num-batched-tokens": "8192", "max-model-len": 4096},
        "extra_args": ["--api-key=sk-5678", "--hf-token", "hf_next", "--tokenizer", "slow"],
    },
    "attach": {"base_url": "http://me:pw@host:1", "api_key_env": "OPENAI_API_KEY"},
}
_TOML = """[server.env]
HF_TOKEN = "hf_abcdef"
[server.args]
api-key = "sk-1234"
"""


def test_no_secret_of_a_profile_is_kept() -> None:
    meta = made.meta(
        profile_json=json.dumps(_PROFILE),
        profile_toml=_TOML,
        command_line="vllm serve m --api-key sk-1234 --api-key=sk-5678",
        environment={"HF_TOKEN": "other", "python": "3.11", "url": "http://u:p@h/"},
    )
    cleaned = without_secrets(meta)
    everything = repr(cleaned)
    for secret in ("hf_abcdef", "s3cr3t", "sk-1234", "sk-5678", "hf_next", "me:pw", "u:p@", "'other'"):
        assert secret not in everything
    profile = json.loads(cleaned.profile_json)
    assert profile["server"]["env"]["VLLM_LOGGING_LEVEL"] == "INFO"
    assert profile["server"]["args"]["max-num-batched-tokens"] == "8192"
    assert profile["server"]["args"]["max-model-len"] == 4096
    assert profile["server"]["extra_args"][3:] == ["--tokenizer", "slow"][0:]
    assert profile["attach"]["api_key_env"] == "OPENAI_API_KEY"
    assert cleaned.profile_toml == _TOML.replace("hf_abcdef", NOT_KEPT).replace("sk-1234", NOT_KEPT)


def test_a_profile_without_secrets_stays_as_it_is() -> None:
    assert json.loads(without_secrets(made.meta()).profile_json) == json.loads(made.meta().profile_json)
    assert without_secrets(made.meta(profile_json="{")).profile_json == ""
