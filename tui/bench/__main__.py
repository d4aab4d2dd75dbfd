"""`python -m tui.bench`: takes its BenchSpec as a line of JSON on stdin, says `ready` on stdout once front ends can
connect. Stdin stays open as long as the process that started it lives: a bench whose starter is gone before any front
end has come is wanted by nobody, and ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import msgspec
import uvloop

from tui.bench.bench import Bench
from tui.core.errors import ExitCode, VrampError, in_a_sentence
from tui.core.known_secrets import learn_environment
from tui.core.safe_text import safe_text
from tui.link.protocol import BenchSpec
from tui.server.process import become_subreaper

_log = logging.getLogger(__name__)


class _SafeFormatter(logging.Formatter):
    """What goes into the log is cleaned as text from outside is: tracebacks quote what they failed on."""

    def format(self, record: logging.LogRecord) -> str:
        return safe_text(super().format(record))


async def _run(spec: BenchSpec) -> None:
    bench = Bench(spec)
    ready = asyncio.Event()
    running = asyncio.create_task(bench.run(ready))
    asyncio.get_running_loop().add_reader(0, _hear_starter, bench)
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if ready.is_set():
        _answer("ready")
    await running


def _hear_starter(bench: Bench) -> None:
    """Note that the process which started us has ended; nothing else is read from it."""
    if not os.read(0, 4096):
        asyncio.get_running_loop().remove_reader(0)
        bench.starter_gone()


def _answer(line: str) -> None:
    """Tell the process that started us, and close the pipe: nothing more is written to it."""
    try:
        os.write(1, f"{line}\n".encode())
    except OSError:
        pass
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def main() -> int:
    """Run one session; return the exit code."""
    learn_environment(os.environ)
    log = logging.StreamHandler()
    log.setFormatter(_SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[log])
    logging.captureWarnings(True)
    # What the session holds is the user's own business.
    os.umask(0o077)
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=BenchSpec)
    os.environ["VRAMP_TIME_SCALE"] = str(spec.time_scale)
    become_subreaper()
    try:
        uvloop.run(_run(spec))
    except VrampError as error:
        _answer(str(error).splitlines()[0])
        return int(error.exit_code)
    except Exception as error:  # whoever started us is told in a sentence; the log has the rest
        _log.exception("the bench ends by an error of its own")
        _answer(in_a_sentence(error))
        return int(ExitCode.UNEXPECTED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
