#!/usr/bin/env python3
"""A `docker` that behaves as one, without a daemon: the container is no child of the command that started it.

`run --rm --name NAME [options] IMAGE COMMAND...` has the daemon start COMMAND in a session of its own, follows its
output, passes signals on and ends with its exit code; killed, it leaves the container running. `rm --force NAME` and
`inspect ... NAME` know it by a file in FAKE_DOCKER_DIR. A variable is handed in by `--env NAME` only. What it was
started with is in FAKE_DOCKER_DIR/argv. FAKE_DOCKER_SAYS: say that and exit with 125, as where something is refused.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DIR = Path(os.environ["FAKE_DOCKER_DIR"])
WITH_VALUE = {"--name", "--env", "--entrypoint", "--gpus", "--shm-size", "--volume", "--format", "--type"}


def main(verb: str, words: list[str]) -> int:
    if verb == "run":
        return run(words)
    record = DIR / f"{words[-1]}.json"
    if not record.exists():
        sys.stderr.write(f"Error response from daemon: No such container: {words[-1]}\n")
        return 1
    found = json.loads(record.read_text())
    if verb == "inspect":
        sys.stdout.write(found["id"])
        return 0
    try:
        os.killpg(found["pid"], signal.SIGKILL)
    except ProcessLookupError:
        pass
    record.unlink(missing_ok=True)
    (DIR / f"{words[-1]}.removed").write_text(" ".join(sys.argv[1:]))
    return 0


def run(words: list[str]) -> int:
    (DIR / "argv").write_text(json.dumps(sys.argv[1:]))
    if says := os.environ.get("FAKE_DOCKER_SAYS"):
        sys.stderr.write(says)
        return 125
    options: dict[str, str] = {}
    env = {"PATH": os.environ["PATH"]}
    while words[0].startswith("-"):
        option = words.pop(0)
        value = words.pop(0) if option in WITH_VALUE else ""
        options[option] = value
        if option == "--env" and value in os.environ:
            env[value] = os.environ[value]
    command = ([options["--entrypoint"]] if "--entrypoint" in options else []) + words[1:]
    return follow(options["--name"], command, env)


def follow(name: str, command: list[str], env: dict[str, str]) -> int:
    record, output, code = DIR / f"{name}.json", DIR / f"{name}.log", DIR / f"{name}.code"
    job = json.dumps({"command": command, "env": env, "name": name, "id": name.removeprefix("vramp-") * 4})
    # The daemon (of the test, outside the tree) starts it.
    (DIR / f"{name}.new").write_text(job)
    (DIR / f"{name}.new").rename(DIR / f"{name}.wanted")
    while not record.exists() and not code.exists():
        time.sleep(0.01)

    def pass_on(number: int, _frame: object) -> None:
        os.kill(json.loads(record.read_text())["pid"], number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    with output.open("rb") as log:
        while True:
            ended = code.exists()
            if piece := log.read():
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
            elif ended:
                break
            else:
                time.sleep(0.01)
    status = int(code.read_text())
    return status if status >= 0 else 128 - status


def daemon() -> None:
    """Start what is wanted, and keep its exit code, until the folder is gone. To be started outside every tree."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    while DIR.exists():
        for wanted in DIR.glob("*.wanted"):
            job = json.loads(wanted.read_text())
            wanted.unlink()
            with (DIR / f"{job['name']}.log").open("wb") as log:
                process = subprocess.Popen(
                    job["command"],
                    env=job["env"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            running[job["name"]] = process
            written = DIR / f"{job['name']}.writing"
            written.write_text(json.dumps({"pid": process.pid, "id": job["id"]}))
            written.rename(DIR / f"{job['name']}.json")
        for name, process in list(running.items()):
            if process.poll() is not None:
                (DIR / f"{name}.code").write_text(str(process.returncode))
                (DIR / f"{name}.json").unlink(missing_ok=True)
                del running[name]
        time.sleep(0.01)


if __name__ == "__main__":
    if sys.argv[1] == "daemon":
        daemon()
    else:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
