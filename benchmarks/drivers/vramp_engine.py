"""vramp's load engine as the bench uses it: a pool with its workers; writes the token gaps that it recorded.

    python drivers/vramp_engine.py URL USERS TOKENS SECONDS OUT [WORKERS [HOSTS]]

WORKERS: so many from the start; HOSTS: agents on this machine that have a worker each, in their place.

OUT: a line of JSON per finished request: [serial (the server's prompt_tokens), [gap in us, ...]].
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))
from ground import hosts_here

from tui.core.address import address_of
from tui.engines.base import RequestShape
from tui.engines.parts import openai_stream
from tui.load.local_host import LocalHost
from tui.load.pool import LoadPool, LoadTarget, PromptSource
from tui.load.prompts import TOKEN_IDS, pack_token_ids
from tui.metrics.record import RequestRecord


async def main(url: str, users: int, tokens: int, seconds: float, out: Path, workers: int, hosts: int) -> int:
    records: list[RequestRecord] = []
    agents = hosts_here(hosts)
    pool = LoadPool(
        LoadTarget(address_of(url)),
        on_records=records.extend,
        on_progress=lambda _: None,
        on_event=lambda event: print(event.text),
        # One worker on each: a pool has one per host before any load asks for more.
        hosts=agents or [LocalHost(1) for _ in range(workers)],
    )
    await pool.start()
    shape = RequestShape(
        path="/v1/completions",
        headers=[("Content-Type", "application/json"), ("Accept", "text/event-stream")],
        body_head=b'{"model":"m","max_tokens":%d,"stream":true,"prompt":' % tokens,
        body_tail=b"}",
        prompt_kind=TOKEN_IDS,
        dialect=openai_stream.NAME,
        prompt_tokens=16,
        prompt_tokens_overhead=0,
        output_tokens=tokens,
    )
    await pool.configure(shape, PromptSource(TOKEN_IDS, pack_token_ids(range(200, 30000))), 1)
    await pool.set_users(users)
    await asyncio.sleep(seconds)
    await pool.set_users(0)
    await pool.drain()
    await pool.stop()
    for host in agents:
        await host.close()
    failed = [record for record in records if not record.ok]
    with out.open("w") as file:
        for record in records:
            if record.ok:
                file.write(json.dumps([record.prompt_tokens_usage, list(record.gaps_us())]) + "\n")
    why = f", the first: {failed[0].outcome}: {failed[0].error}" if failed else ""
    print(f"{len(records)} requests, {len(failed)} failed{why}")
    return 1 if failed else 0


if __name__ == "__main__":
    url, users, tokens, seconds, out, *rest = sys.argv[1:]
    workers, hosts = (*map(int, rest), *(1, 0)[len(rest) :])
    sys.exit(uvloop.run(main(url, int(users), int(tokens), float(seconds), Path(out), workers, hosts)))
