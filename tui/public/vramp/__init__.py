"""What vramp measured, for notebooks and scripts: `vramp.read`. All else of the package is internal, under `tui`."""

from tui import __version__
from tui.core.errors import SessionError, UsageError, VrampError
from tui.frames import Session, read

__all__ = ["Session", "SessionError", "UsageError", "VrampError", "__version__", "read"]
