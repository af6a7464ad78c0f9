"""`samunet evaluate`: how well models segment images with reference masks."""

from __future__ import annotations

import argparse

from ..errors import ExitCode
from ..evaluation.command import HELP, add_arguments, run_evaluation

__all__ = ["HELP", "add_arguments", "run"]


def run(arguments: argparse.Namespace) -> ExitCode:
    report = run_evaluation(arguments)
    print(report.read_text(encoding="utf-8"))
    print(f"Saved {report}")
    return ExitCode.OK
