"""The keys of the live screen, each with an id by which the settings can move it, and the line that names them."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tui.view.panes.catalogue import PANES
from tui.view.panes.pane import Pane
from tui.view.screens.cell_pane import CellPane

STEER: list[BindingType] = [
    Binding("plus,equals_sign", "users(1)", "user", key_display="+", id="live.user-more", tooltip="one user more"),
    Binding("minus", "users(-1)", "user", key_display="−", id="live.user-less", tooltip="one user less"),
    Binding("right_square_bracket", "users(10)", "ten", key_display="]", id="live.ten-more", tooltip="ten users more"),
    Binding("left_square_bracket", "users(-10)", "ten", key_display="[", id="live.ten-less", tooltip="ten users less"),
    Binding(
        "greater_than_sign",
        "prompt(1)",
        "prompt",
        key_display=">",
        id="live.prompt-longer",
        tooltip="next prompt size",
    ),
    Binding(
        "less_than_sign",
        "prompt(-1)",
        "prompt",
        key_display="<",
        id="live.prompt-shorter",
        tooltip="previous prompt size",
    ),
    Binding("u", "type_users", "number of users", id="live.set-users", tooltip="type a number of users"),
    Binding("g", "sweep", "sweep", id="live.sweep", tooltip="start or stop the sweep of the grid"),
    Binding("e", "edge", "edge", id="live.edge", tooltip="find the most users served well at each size, or stop"),
    Binding(
        "M",
        "measure_again",
        "again",
        id="live.measure-again",
        tooltip="measure the picked cell again; with none picked, all implied ones",
    ),
    Binding("r", "ramp", "ramp", id="live.ramp", tooltip="start or stop adding users step by step"),
    Binding("i", "ask", "ask", id="live.ask", tooltip="ask the model yourself, beside the load and in no figure"),
    Binding("x", "export", "export", id="live.export", tooltip="write the session as TOML and CSV"),
    Binding(
        "U",
        "restore_users",
        "users back",
        id="live.users-back",
        tooltip="have the users ask again that asked when the server died",
    ),
    Binding("R", "relaunch", "relaunch", id="live.relaunch", tooltip="start a failed server again"),
]
LOOK: list[BindingType] = [
    Binding("space", "hold", "hold", id="live.hold", tooltip="hold the drawing; measuring goes on"),
    Binding("w", "window", "time shown", show=False, id="live.window", tooltip="how much time the charts show"),
    Binding("m", "maximise", "maximise", id="live.maximise", tooltip="this pane alone, and back"),
    Binding("escape", "back", "back", show=False, id="live.back", tooltip="back: picked cell, pane, stage"),
    Binding("tab", "next_pane(1)", "pane", show=False, id="live.pane-next", tooltip="the next pane"),
    Binding("shift+tab", "next_pane(-1)", "pane", show=False, id="live.pane-previous", tooltip="the previous pane"),
    Binding("up", "move(0, -1)", show=False, id="live.up", tooltip="in a pane: back in a list, pick a cell"),
    Binding("down", "move(0, 1)", show=False, id="live.down", tooltip="in a pane: forth in a list, pick a cell"),
    Binding("left", "move(-1, 0)", show=False, id="live.left", tooltip="in the grid: pick a cell"),
    Binding("right", "move(1, 0)", show=False, id="live.right", tooltip="in the grid: pick a cell"),
    Binding("enter", "open", "open", show=False, id="live.open", tooltip="in the grid: open the picked cell"),
    Binding("c", "figure", "figure", show=False, id="live.figure", tooltip="colour the grid by the next figure"),
    Binding(
        "p",
        "trade_offs",
        "trade-offs",
        show=False,
        id="live.trade-offs",
        tooltip="the best cell, the front of users against tokens/s, costs",
    ),
    Binding("f", "filter", "filter", show=False, id="live.filter", tooltip="in requests and log: the next filter"),
    Binding(
        "slash",
        "search",
        "search",
        show=False,
        key_display="/",
        id="live.search",
        tooltip="find words in requests or log",
    ),
    Binding("n", "find(1)", "found", show=False, id="live.find-older", tooltip="the next older row that was found"),
    Binding("N", "find(-1)", "found", show=False, id="live.find-newer", tooltip="the next newer row that was found"),
    Binding("end", "end_of_list(1)", "end", show=False, id="live.list-end", tooltip="in a list: its lower end"),
    Binding("home", "end_of_list(-1)", "end", show=False, id="live.list-begin", tooltip="in a list: its upper end"),
    Binding("y", "copy", "copy", show=False, id="live.copy", tooltip="copy the pane as text"),
    Binding("s", "presentation", "stage", id="live.stage", tooltip="the presentation screen, and back"),
]
LIVE_PANES: tuple[type[Pane], ...] = (*PANES, CellPane)
"""All that the live screen shows, in the order of the tab line."""
_NAMES = {pane.KEY: pane.NAME for pane in LIVE_PANES}
TO_PANES: list[BindingType] = [
    Binding(key, f"pane('{key}')", show=False, id=f"live.pane-{key}", tooltip=f"go to {_NAMES.get(key, f'pane {key}')}")
    for key in "123456789"
]

HELP = f"""What a server carries: + and − add and take users, the panes show what they get and what it costs.

{LIVE_PANES[0].KEY} to {LIVE_PANES[-1].KEY} go to that pane. A number of users is typed in the field that u opens; what
is far beyond the grid, or beyond what this machine's client carries, is asked about before it is done. What the model
is asked by i is answered beside the load, and is in no figure; esc ends it."""

KEY_LINE: tuple[tuple[tuple[str, ...], str], ...] = (
    (("live.relaunch",), "relaunch"),
    (("live.users-back",), "users back"),
    (("live.user-more", "live.user-less"), "1 user"),
    (("live.ten-more", "live.ten-less"), "10 users"),
    (("live.set-users",), "number"),
    (("live.prompt-longer", "live.prompt-shorter"), "prompt"),
    (("live.sweep",), "sweep"),
    (("help",), "help"),
    (("leave",), "leave"),
    (("live.stage",), "stage"),
    (("live.maximise",), "maximise"),
    (("live.hold",), "hold"),
    (("live.export",), "export"),
    (("live.ramp",), "ramp"),
    (("detach",), "detach"),
    (("theme",), "theme"),
    (("live.filter",), "filter"),
    (("live.search",), "search"),
    (("live.copy",), "copy"),
    (("live.edge",), "edge"),
    (("live.ask",), "ask"),
)
"""What the lowest line names, by id, the most needed first: a narrow line ends earlier."""

STEERING_IDS = frozenset(binding.id for binding in STEER if isinstance(binding, Binding))
