"""Flags by vLLM's own help."""

from __future__ import annotations

from tui.engines.vllm.flags import flags_in, help_command, suggestions, unknown

HELP = """
  --enable-log-requests, --no-enable-log-requests
                        - DEBUG: set the minimum log level via `VLLM_LOGGING_LEVEL`.
  --max-num-seqs MAX_NUM_SEQS
                        Use --max-num-seqs 4.
  --tensor-parallel-size TENSOR_PARALLEL_SIZE, -tp TENSOR_PARALLEL_SIZE
  --host HOST
  --port PORT, --max-model-len MAX_MODEL_LEN
  `--help=<ConfigGroup>` a---b --
"""


def test_flags_are_found_once() -> None:
    assert flags_in(HELP) == [
        "--enable-log-requests",
        "--no-enable-log-requests",
        "--max-num-seqs",
        "--tensor-parallel-size",
        "--host",
        "--port",
        "--max-model-len",
        "--help",
    ]
    assert flags_in("usage: --host --port") == []


def test_nearest_flag_is_named() -> None:
    line = "vllm: error: unrecognized arguments: --max-num-sequ 5 --tensor_paralel_size=2 --zzz 'x"
    assert suggestions(line, flags_in(HELP)) == (
        "--max-num-sequ is not known; did you mean --max-num-seqs? "
        "--tensor_paralel_size is not known; did you mean --tensor-parallel-size?"
    )
    assert suggestions("hello", flags_in(HELP)) == ""
    assert suggestions(line, []) == ""


def test_arguments_are_known_as_argparse_and_vllm_read_them() -> None:
    known = flags_in(HELP)
    taken = ["--max_num_seqs", "4", "--max-num-seqs=4", "--max-num", "-tp", "2", "--no-enable-log-requests", "--host.a"]
    assert unknown(taken, known) == []
    assert unknown(["--max-model-lenght", "4", "--max-model-lenght", "--zzz"], known) == [
        "--max-model-lenght is not known; did you mean --max-model-len?",
        "--zzz is not known",
    ]
    assert unknown(["--max-m"], [*known, "--max-more"]) != []  # stands for two
    assert unknown(["--zzz"], []) == []


def test_only_vllm_serve_is_asked() -> None:
    assert help_command(["/opt/vllm/bin/vllm", "serve"]) == ["/opt/vllm/bin/vllm", "serve", "--help=all"]
    assert help_command(["python", "-m", "x"]) is None
