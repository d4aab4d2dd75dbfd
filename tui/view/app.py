"""The app: which screen is up, and what passes between it and a bench. It may die at any time; the run goes on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.worker import Worker, WorkerCancelled, WorkerFailed

from tui.core.errors import ExitCode, UsageError, VrampError
from tui.core.paths import from_home, socket_of
from tui.core.safe_text import safe_line
from tui.link.protocol import Command, Export, Linger, SetUsers
from tui.metrics.snapshot import Phase, Snapshot
from tui.profile.settings import Settings
from tui.view.benches import Benches
from tui.view.bridge import BenchGone, Bridge, SnapshotArrived, SnapshotSource
from tui.view.chrome import Chrome
from tui.view.picker_actions import PickerActions
from tui.view.profile_actions import edit_profile, read_again
from tui.view.replaying import ReplaySource
from tui.view.run import Run, farewell_of, live_screen_of
from tui.view.screens.cell import CellScreen
from tui.view.screens.comparison import ComparisonScreen
from tui.view.screens.dialogs import Form, Question, leave_question, unkept_question
from tui.view.screens.gone import GoneScreen, Stopping
from tui.view.screens.help import HelpScreen
from tui.view.screens.history import HistoryScreen
from tui.view.screens.launch import LaunchScreen
from tui.view.screens.live import LiveScreen
from tui.view.screens.picker import PickerScreen
from tui.view.screens.profile_list import ProfileList
from tui.view.screens.replay import ReplayScreen
from tui.view.screens.trade_offs import TradeOffsScreen
from tui.view.script import Script
from tui.view.stand_in import StandsFor, last_good, playing
from tui.view.start import Attach, Launch, Picker, Replay, StartWish

_LISTEN_S = 1.0
_OWNERS_OF_KEYS = (
    ProfileList,
    PickerScreen,
    HistoryScreen,
    ComparisonScreen,
    LaunchScreen,
    LiveScreen,
    ReplayScreen,
    CellScreen,
    TradeOffsScreen,
    GoneScreen,
    Stopping,
    HelpScreen,
    Question,
    Form,
)
_LIVE_PHASES = frozenset({Phase.LAUNCHING, Phase.READY, Phase.RELAUNCHING})


class VrampApp(Chrome):
    """Picker, launch, live; all I/O is the bridge's, the benches' or a thread's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "detach", "detach", show=False, id="detach", tooltip="leave; the bench goes on"),
        Binding(
            "P",
            "stand_in",
            "replay",
            show=False,
            id="stand-in",
            tooltip="play the last good session in place of this one, marked REPLAY; again: come back",
        ),
        Binding("q", "leave", "leave", id="leave", tooltip="leave; asks when a run is live"),
        Binding("ctrl+c", "interrupt", show=False, priority=True, id="interrupt", tooltip="as leave does"),
    ]

    def __init__(self, start: StartWish, benches: Benches, *, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings(), _OWNERS_OF_KEYS)
        self._benches = benches
        self._picker_actions = PickerActions(self, benches, self.launch)
        self.farewell = ""
        """A line for the normal screen."""
        self.fault: Exception | None = None
        """An error of ours that ended the app."""
        self._code = ExitCode.OK
        """With which it is left."""
        self._start = start
        self._bridge: Bridge | None = None
        self._run: Run | None = None
        self._leave_question: Question | None = None

    # ---- start and end

    def on_mount(self) -> None:
        """Put up the first screen and take over the signals that end us."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._hang_up)
        self.set_interval(_LISTEN_S, self._listen)
        match self._start:
            case Picker():
                self.push_screen(PickerScreen())
            case Launch() as wish:
                self.launch(wish)
            case Attach() as wish:
                self._look_at(wish)
            case Replay() as wish:
                self._replay(wish)

    async def on_unmount(self) -> None:
        """Hang up."""
        if self._bridge is not None:
            await self._bridge.close()

    def _hang_up(self) -> None:
        """Leave because the terminal went away or somebody asked us to: the bench goes on by itself."""
        self._say_where(goes_on=True)
        self.exit(ExitCode.INTERRUPTED)

    def launch(self, wish: Launch) -> None:
        """Start a bench for a profile and look at it."""
        profile = wish.entry.profile
        if profile is None:
            raise UsageError("\n".join(wish.entry.problems))
        told = wish.script or profile.demo
        script = Script(told) if told is not None else None
        run = Run(profile.display_title, wish=wish, presentation=wish.presentation, script=script)
        self._begin(run, lambda: self._benches.launch(wish))

    def _begin(self, run: Run, opening: Callable[[], Awaitable[SnapshotSource]]) -> None:
        self._run = run
        run.screen = LaunchScreen(run.title, can_go_back=self._has_picker, ascii_only=self.ascii_only)
        self.push_screen(run.screen)
        self.run_worker(self._open(run, opening), group="session", exclusive=True)

    async def _open(self, run: Run, opening: Callable[[], Awaitable[SnapshotSource]]) -> None:
        try:
            source = await opening()
        except (VrampError, OSError) as error:
            if isinstance(run.screen, LaunchScreen):
                run.screen.show_refusal(str(error))
            return
        self._bridge = Bridge(source, self.post_message, read_only=run.read_only)
        await self._bridge.pump()

    @property
    def _has_picker(self) -> bool:
        return any(isinstance(screen, PickerScreen) for screen in self.screen_stack)

    # ---- snapshots down, commands up

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        """Show it on the screen that it calls for."""
        run, snapshot = self._run, message.snapshot
        if run is None or run.screen is None:
            return
        phase = snapshot.server.phase
        run.panes_wanted = run.panes_wanted and phase is Phase.FAILED
        launch = phase is Phase.LAUNCHING or (phase is Phase.FAILED and not run.panes_wanted)
        if phase is Phase.RELAUNCHING and isinstance(run.screen, LaunchScreen):
            launch = True  # the operator sees here how it comes to what was asked for
        if launch != isinstance(run.screen, LaunchScreen) and self.screen is run.screen:
            self._switch(run, self._launch_screen(run) if launch else live_screen_of(run, self.settings))
        if isinstance(run.screen, LaunchScreen | LiveScreen):
            run.screen.show(snapshot)
        if isinstance(run.screen, ReplayScreen):
            self._show_moment(run.screen, snapshot)
        elif snapshot.unkept and isinstance(run.screen, LiveScreen) and self.screen is run.screen:
            self._ask_of_unkept(run, snapshot)

    def _listen(self) -> None:
        """Let the screen know that time passes; a snapshot may come or not."""
        run = self._run
        if run is not None and isinstance(run.screen, LiveScreen) and not run.replay and run.screen.is_mounted:
            run.screen.wait_for_word(_LISTEN_S)

    def _ask_of_unkept(self, run: Run, snapshot: Snapshot) -> None:
        """Let the operator choose between going on in memory and an end of the load, once."""
        if run.asked_of_unkept or run.read_only:
            return

        def answered(answer: str | None) -> None:
            if answer == "stop":
                self._send(SetUsers(users=0, cut=True))

        run.asked_of_unkept = True
        self.push_screen(unkept_question(snapshot.unkept), answered)

    def _switch(self, run: Run, screen: LaunchScreen | LiveScreen | GoneScreen) -> None:
        run.screen = screen
        self.switch_screen(screen)

    def _launch_screen(self, run: Run) -> LaunchScreen:
        return LaunchScreen(run.title, can_go_back=self._has_picker, ascii_only=self.ascii_only)

    def _show_moment(self, screen: ReplayScreen, snapshot: Snapshot) -> None:
        source = self._bridge.source if self._bridge else None
        if isinstance(source, ReplaySource):
            screen.show_moment(
                snapshot.at_ns, source.started_ns, source.ended_ns, playing=source.playing, speed=source.speed
            )

    def on_replay_screen_wanted(self, message: ReplayScreen.Wanted) -> None:
        """Go through the time of a finished session."""
        source = self._bridge.source if self._bridge else None
        if not isinstance(source, ReplaySource):
            return
        match message.what:
            case "play":
                source.toggle_playing()
            case "faster":
                source.faster()
            case _:
                source.step(message.steps)

    def on_bench_gone(self, message: BenchGone) -> None:
        """Say so, and what to do; a failed launch that is on the screen stays there."""
        run, bridge = self._run, self._bridge
        if run is None or bridge is None:
            return
        self._bridge = None
        if not message.took_leave:
            self._code = ExitCode.UNEXPECTED
        elif not (run.read_only or run.replay):
            self._code = ExitCode.INTERRUPTED  # by somebody else; what was measured is kept
        self._say_where(goes_on=False, snapshot=bridge.latest)
        gone = GoneScreen(message.reason, bridge.latest, can_go_back=self._has_picker)
        while self.screen is not run.screen and len(self.screen_stack) > 1:
            self.pop_screen()
        self._switch(run, gone)

    def on_live_screen_sent(self, message: LiveScreen.Sent) -> None:
        """Forward a command."""
        self._send(message.command)

    def on_launch_screen_sent(self, message: LaunchScreen.Sent) -> None:
        """Forward a command."""
        self._send(message.command)

    @work(group="commands")
    async def _send(self, command: Command) -> None:
        if self._bridge is None:
            return
        reply = await self._bridge.send(command)
        if not reply.ok and self._run is not None and isinstance(self._run.screen, LiveScreen):
            self._run.screen.refused()
        if reply.message:
            text = safe_line(reply.message, limit=300)
            if reply.ok and isinstance(command, Export):
                text = f"exported to {from_home(text)}"
            self.notify(text, severity="information" if reply.ok else "warning", markup=False)

    # ---- the picker's wishes

    def on_picker_screen_wanted(self, message: PickerScreen.Wanted) -> None:
        """Do what takes files or questions."""
        self._picker_actions.start(message)

    def on_picker_screen_launch(self, message: PickerScreen.Launch) -> None:
        """Launch a profile."""
        self.launch(Launch(message.candidate.entry))

    def on_picker_screen_attach(self, message: PickerScreen.Attach) -> None:
        """Look at a running bench."""
        self._look_at(Attach(message.bench.socket_path))

    def on_history_screen_open(self, message: HistoryScreen.Open) -> None:
        """Go through a session that is kept."""
        self._replay(Replay(message.path))

    def _look_at(self, wish: Attach) -> None:
        script = Script(wish.script) if wish.script is not None else None
        run = Run(wish.socket_path.stem, read_only=wish.read_only, presentation=wish.presentation, script=script)
        self._begin(run, lambda: self._benches.attach(wish.socket_path, read_only=wish.read_only))

    def _replay(self, wish: Replay) -> None:
        run = Run(wish.path.stem, read_only=True, replay=True, presentation=wish.presentation)
        self._begin(run, lambda: self._benches.replay(wish.path, wish.reference))

    # ---- another session in place of this one

    @work(group="stand-in", exclusive=True)
    async def action_stand_in(self) -> None:
        """Play the last good session in place of the one that is on the screen, or come back to that."""
        run, latest = self._run, self._bridge.latest if self._bridge else None
        if run is None or self.screen is not run.screen:
            return
        if run.stands_for is not None:
            socket_path = socket_of(run.stands_for.session_id)
            back = Run(run.stands_for.title, read_only=run.stands_for.read_only, presentation=run.on_stage)
            opening = partial(self._benches.attach, socket_path, read_only=back.read_only)
            await self._show_instead(back, opening)
            return
        if latest is None:
            self.notify("no session to play in place of", severity="warning", markup=False)
            return
        path = await asyncio.to_thread(last_good, latest.profile_name, besides=latest.session_id)
        if path is None:
            self.notify("no earlier session has a measured cell: nothing to play", severity="warning", markup=False)
            return
        played = Run(path.stem, read_only=True, replay=True, presentation=run.on_stage)
        played.stands_for = StandsFor(latest.session_id, run.title, run.read_only)
        await self._show_instead(played, playing(self._benches, path))

    async def _show_instead(self, run: Run, opening: Callable[[], Awaitable[SnapshotSource]]) -> None:
        """Hang up, and show another run in the same place; the bench goes on by itself."""
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            await bridge.close()
        self._run = run
        self._switch(run, self._launch_screen(run))
        self.run_worker(self._open(run, opening), group="session", exclusive=True)

    # ---- the launch screen's wishes

    def on_launch_screen_wanted(self, message: LaunchScreen.Wanted) -> None:
        """Act on a launch."""
        run, snapshot = self._run, self._bridge.latest if self._bridge else None
        if run is None:
            return
        if message.what == "panes" and snapshot is not None:
            run.panes_wanted = True
            self.on_snapshot_arrived(SnapshotArrived(snapshot))
        elif message.what == "back":
            self._end_run(self._back)
        elif message.what == "edit":
            self._edit_and_launch(run)

    def on_gone_screen_back(self, _: GoneScreen.Back) -> None:
        """Go back to the profiles."""
        self._back()

    @work(group="profile-actions", exclusive=True)
    async def _edit_and_launch(self, run: Run) -> None:
        if run.wish is None:
            self.notify("the profile of an attached session is edited from the picker", markup=False)
            return
        try:
            path = await edit_profile(self, run.wish.entry)
        except UsageError as error:
            self.notify(safe_line(str(error), limit=300), severity="warning", markup=False)
            return
        again = await asyncio.to_thread(read_again, run.wish.entry, path)
        if again.profile is None:
            self.notify(safe_line(" · ".join(again.problems), limit=400), severity="error", markup=False)
            return

        wish = replace(run.wish, entry=again, bench=None)

        def launch_anew() -> None:
            self.pop_screen()
            self.launch(wish)

        self._end_run(launch_anew)

    # ---- leaving

    def action_leave(self) -> None:
        """Leave; ask first when a run is live."""
        run, bridge = self._run, self._bridge
        if run is None:
            self.exit(ExitCode.OK)
        elif bridge is None:
            self._end_run(self._leave)
        elif run.replay and self._has_picker:
            self._end_run(self._back)
        elif run.replay or run.read_only:
            self._say_where(goes_on=not run.replay)
            self.exit(ExitCode.OK)
        elif bridge.latest is not None and bridge.latest.server.phase in _LIVE_PHASES:
            latest = bridge.latest
            self._leave_question = leave_question(
                session_id=latest.session_id, from_picker=self._has_picker, unkept=bool(latest.unkept)
            )
            self.push_screen(self._leave_question, self._leave_answered)
        else:
            self._end_run(self._leave)

    async def action_quit(self) -> None:
        """Take ctrl+q as `q`; a second one on the question detaches."""
        stopping = next((screen for screen in self.screen_stack if isinstance(screen, Stopping)), None)
        if self.screen is self._leave_question:
            self.action_detach()
        elif stopping is not None:
            stopping.action_leave()
        else:
            self.action_leave()

    async def action_interrupt(self) -> None:
        """Take Ctrl-C as ctrl+q; another question is answered with never mind."""
        if isinstance(self.screen, Question | Form) and self.screen is not self._leave_question:
            self.screen.dismiss(None)
        else:
            await self.action_quit()

    @property
    def _opening(self) -> list[Worker[object]]:
        return [worker for worker in self.workers if worker.group == "session" and worker.is_running]

    def _leave_answered(self, answer: str | None) -> None:
        if answer == "detach":
            self.action_detach()
        elif answer == "stop":
            self._end_run(self._leave)
        elif answer == "pick":
            self._end_run(self._back)

    @work(group="commands")
    async def action_detach(self) -> None:
        """Leave; the bench goes on."""
        if self._bridge is not None and not self._bridge.read_only:
            await self._bridge.send(Linger())
        self._say_where(goes_on=True)
        self.exit(ExitCode.OK)

    def _leave(self) -> None:
        self.exit(self._code)

    def _back(self) -> None:
        self._run, self._bridge, self._code = None, None, ExitCode.OK
        while not isinstance(self.screen, PickerScreen):
            self.pop_screen()

    def _end_run(self, then: Callable[[], object]) -> None:
        """Stop the bench if it is ours to stop, hang up, and go on with `then`."""
        self._say_where(goes_on=self._run is not None and self._run.read_only)
        if self._bridge is not None or self._opening:
            self._stop_bench(then)
        else:
            then()

    @work(group="stop", exclusive=True)
    async def _stop_bench(self, then: Callable[[], object]) -> None:
        """End the bench, or one that is only on its way, and go on when nothing is left of it."""
        bridge = self._bridge
        if bridge is not None:
            bridge.expect_end()
        stopping = Stopping()
        await self.push_screen(stopping)
        bridge = bridge or self._bridge or await self._call_off()
        if bridge is not None:
            await self._end_bench(bridge)
        if self.screen is stopping:
            await self.pop_screen()
        (self._leave if stopping.leave_wanted else then)()

    async def _call_off(self) -> Bridge | None:
        """End what opens; return the bench that came just then, if one did."""
        for opening in self._opening:
            opening.cancel()
            with contextlib.suppress(WorkerCancelled, WorkerFailed):
                await opening.wait()
        return self._bridge

    async def _end_bench(self, bridge: Bridge) -> None:
        bridge.expect_end()
        if not bridge.read_only:
            await bridge.stop_bench()
        await bridge.close()
        self._bridge = None

    def _say_where(self, *, goes_on: bool, snapshot: Snapshot | None = None) -> None:
        snapshot = snapshot or (self._bridge.latest if self._bridge else None)
        if snapshot is not None and self._run is not None:
            self.farewell = farewell_of(self._run, snapshot, goes_on=goes_on)

    def _fatal_error(self) -> None:
        """Leave the picture of an error of ours out: Textual's shows the values of all variables, and so perhaps a key.

        `run_app` says it in a sentence.
        """
        self.fault = self._exception
        self._close_messages_no_wait()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Detach only from what goes on."""
        if action == "stand_in":
            return self._run is not None and (not self._run.replay or self._run.stands_for is not None)
        if action == "detach":
            return self._bridge is not None and self._run is not None and not self._run.replay
        return super().check_action(action, parameters)
