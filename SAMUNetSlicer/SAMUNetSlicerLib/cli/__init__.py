"""The command `samunet`: the same work as in Slicer, without a window."""

import signal

# Importing takes seconds, in which Ctrl-C would print where in it Python was. Where it is ignored it stays so.
_interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _interruptible:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    from .main import main
finally:
    if _interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["main"]
