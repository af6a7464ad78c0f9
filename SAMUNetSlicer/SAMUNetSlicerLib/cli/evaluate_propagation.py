"""`samunet evaluate-propagation`: which rule carries a mask best from plane to plane."""

from __future__ import annotations

import argparse

from ..errors import ExitCode
from ..evaluation.propagation_study import HELP, add_arguments, run_study

__all__ = ["HELP", "add_arguments", "run"]


def run(arguments: argparse.Namespace) -> ExitCode:
    print(run_study(arguments))
    return ExitCode.OK
