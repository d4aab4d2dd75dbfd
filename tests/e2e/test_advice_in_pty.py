"""A launch that fails for want of KV cache, and the key that launches it as the advice says."""

from __future__ import annotations

from tests.e2e.conftest import World, choose
from tests.e2e.profiles import write_simulated
from tests.fakes.terminal import Terminal
from tui.session.reader import SessionReader


def test_f_follows_the_advice_for_this_session_and_leaves_the_file_alone(world: World) -> None:
    folder = world.root / "config" / "vramp" / "profiles"
    folder.mkdir(parents=True)
    path = write_simulated(folder, "cramped", users="[1, 2]", prompt_tokens="[30]")
    path.write_text(path.read_text() + 'fail = "kv-too-small"\n')
    written = path.read_text()
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        choose(terminal, "cramped")
        terminal.send("\r")
        failed = terminal.wait_for("launches it with --max-model-len", 60)
        assert failed.index("what helps") < failed.index("its log says")
        terminal.send("f")
        ready = terminal.wait_for("READY", 60)
        assert "--max-model-len" in ready  # in the header: it is not what the profile says
        terminal.send("7m")
        terminal.wait_for("in place of the profile's")
        terminal.send("q")
        terminal.wait_for("stop all and leave")
        terminal.send("s")
        assert terminal.wait_exit(60) == 0
    assert path.read_text() == written
    (file,) = (world.root / "data" / "vramp" / "sessions").glob("*.vramp")
    with SessionReader(file) as reader:
        assert reader.server is not None
        limit = reader.server.max_model_len
        assert reader.server.overrides == {"max-model-len": str(limit)}
        assert limit is not None and limit < 4096
