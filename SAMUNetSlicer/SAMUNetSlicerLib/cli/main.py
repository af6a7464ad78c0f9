"""Parsing, dispatch and error reporting of the command `samunet`."""

from __future__ import annotations

import argparse
import contextlib
import io
import locale
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ExitCode, MemoryShortageError, UserError
from ..project import NAME, NOT_FOR_CLINICAL_USE, VERSION
from . import benchmark, cache, data, evaluate, evaluate_propagation, info, models, segment, train

_COMMANDS: dict[str, ModuleType] = {
    "segment": segment,
    "info": info,
    "models": models,
    "cache": cache,
    "benchmark": benchmark,
    "evaluate": evaluate,
    "evaluate-propagation": evaluate_propagation,
    "train": train,
    "data": data,
}

_format_warning = warnings.formatwarning
_EXIT_CODES = ", ".join(f"{code.value} {code.name.lower()}" for code in ExitCode)


def build_parser() -> argparse.ArgumentParser:
    """Every command is a module with `HELP`, `add_arguments(parser)` and `run(arguments) -> ExitCode`."""
    parser = argparse.ArgumentParser(
        prog="samunet",
        description=f"{NAME}: segment 3D volumes from points and boxes with SAM-UNet. {NOT_FOR_CLINICAL_USE}",
        epilog=f"Exit codes: {_EXIT_CODES}.",
    )
    parser.add_argument("--version", action="version", version=f"{NAME} {VERSION}. {NOT_FOR_CLINICAL_USE}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=module.HELP, description=module.HELP))
    return parser


def _in_words(message: Warning | str, category: type[Warning], filename: str, *where: Any) -> str:
    """Our own warnings as a sentence, without the line of the program that they come from."""
    own = category is UserWarning and Path(filename).is_relative_to(Path(__file__).parents[1])
    return f"samunet: {message}\n" if own else _format_warning(message, category, filename, *where)


def _take_all_names() -> None:
    """SimpleITK hands on names in UTF-8, which Windows takes for its old encoding unless a program says so."""
    if sys.platform == "win32":
        with contextlib.suppress(locale.Error):  # a Windows of before 2019
            locale.setlocale(locale.LC_CTYPE, ".UTF-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code; errors that the user can mend are one line on standard error."""
    arguments = build_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal cannot show is written otherwise, instead of ending the command after its work.
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None:  # closed, as by 2>&-
        sys.stderr = io.StringIO()
    warnings.formatwarning = _in_words
    _take_all_names()
    try:
        code = _COMMANDS[arguments.command].run(arguments)
        print(end="", flush=True)
        return int(code)
    except UserError as error:
        print(f"samunet: {error}", file=sys.stderr)
        return int(error.exit_code)
    except (MemoryError, RuntimeError) as error:
        told = _in_plain_words(error)
        if told is None:
            raise
        print(f"samunet: {told}", file=sys.stderr)
        return int(told.exit_code)
    except OSError as error:
        # Whoever read the output may have seen enough, as in `samunet models | head`.
        if not isinstance(error, BrokenPipeError):
            print(f"samunet: {error}. Free some room or choose another place.", file=sys.stderr)
        if isinstance(sys.stdout, io.TextIOWrapper):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its end
        return int(ExitCode.OUTPUT)
    except KeyboardInterrupt:
        print("samunet: Stopped.", file=sys.stderr)
        return int(ExitCode.CANCELLED)


def _in_plain_words(error: MemoryError | RuntimeError) -> UserError | None:
    """What the user is told of a shortage of memory, or of a graphics card that failed; None for other errors."""
    is_short, told = isinstance(error, MemoryError), None
    if "torch" in sys.modules:  # which takes a second to import, and without which there is no card
        from ..inference.shortage import card_failure, is_shortage

        is_short, told = is_shortage(error), card_failure(error)
    if is_short:
        return MemoryShortageError(
            "Memory is not enough, the computer's or the graphics card's. Close other programs and try again, "
            "or compute on the processor (--device cpu, where the command has it)."
        )
    return told
