"""The command `samunet`: the same work as in Slicer, without a window."""

import sys

from ..errors import ExitCode

try:
    from .main import main
except KeyboardInterrupt:  # importing torch and the others takes seconds, in which `main` cannot catch it yet
    print("samunet: Stopped.", file=sys.stderr)
    sys.exit(int(ExitCode.CANCELLED))

__all__ = ["main"]
