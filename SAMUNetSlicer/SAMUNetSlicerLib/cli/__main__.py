"""`python -m SAMUNetSlicerLib.cli`, for where the command itself is not on the path."""

import sys

from .main import main

sys.exit(main())
