"""What comes from the terminal, which need not be text: bytes in, characters that Textual's parser can take out."""

from __future__ import annotations

from codecs import getincrementaldecoder

from textual._xterm_parser import XTermParser
from textual.message import Message

_MOUSE_HEAD = b"\x1b[M"
"""The old report of the mouse (X10). Three bytes follow, a button and a place, each of them any from 0x20 on."""
_MOUSE_BODY_BYTES = 3


class TerminalInput:
    """Decodes as it comes, whatever the cuts between two reads.

    A byte that is no text is left out, and so are the three of a mouse report of the old form, which Textual takes for
    text; a terminal that was told to report otherwise may send some all the same, as a tmux does that was attached to
    again. What the parser cannot take (a key with a number beyond all characters) costs only itself.
    """

    def __init__(self) -> None:
        self._decode = getincrementaldecoder("utf-8")("ignore").decode
        self._parser = XTermParser()
        self._head_seen = 0
        self._body_due = 0

    def feed(self, data: bytes) -> list[Message]:
        """Return what these bytes, and those before, come to."""
        text = self._decode(self._without_mouse(data))
        found: list[Message] = []
        if not text:  # to the parser it would be the end
            return found
        try:
            for message in self._parser.feed(text):
                found.append(message)
        except (ValueError, OverflowError):
            self._begin_anew()
        return found

    def tick(self) -> list[Message]:
        """Return what waited for more that did not come: the key escape."""
        return list(self._parser.tick())

    def _without_mouse(self, data: bytes) -> bytes:
        """Return as many bytes, those of a mouse report's body made blanks, which the parser takes for one."""
        if b"\x1b" not in data and not self._head_seen and not self._body_due:
            return data
        clean = bytearray(data)
        for place, byte in enumerate(data):
            if self._body_due:
                clean[place] = 0x20
                self._body_due -= 1
            elif byte == _MOUSE_HEAD[self._head_seen]:
                self._head_seen += 1
                if self._head_seen == len(_MOUSE_HEAD):
                    self._head_seen, self._body_due = 0, _MOUSE_BODY_BYTES
            else:
                self._head_seen = int(byte == _MOUSE_HEAD[0])
        return bytes(clean)

    def _begin_anew(self) -> None:
        old, self._parser = self._parser, XTermParser()
        self._parser.mouse_pixels = old.mouse_pixels
        self._parser.terminal_size, self._parser.terminal_pixel_size = old.terminal_size, old.terminal_pixel_size
