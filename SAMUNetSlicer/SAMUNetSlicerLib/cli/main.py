"""Parsing, dispatch and error reporting of the command `samunet`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from ..errors import ExitCode, UserError
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code; errors that the user can mend are one line on standard error."""
    arguments = build_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal cannot show is written otherwise, instead of ending the command after its work.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _COMMANDS[arguments.command].run(arguments)
        print(end="", flush=True)
        return int(code)
    except UserError as error:
        print(f"samunet: {error}", file=sys.stderr)
        return int(error.exit_code)
    except MemoryError:
        print("samunet: The computer's memory is not enough. Close other programs and try again.", file=sys.stderr)
        return int(ExitCode.MEMORY)
    except BrokenPipeError:  # whoever read the output has seen enough, as in `samunet models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its end
        return int(ExitCode.OUTPUT)
    except KeyboardInterrupt:
        print("samunet: Stopped.", file=sys.stderr)
        return int(ExitCode.CANCELLED)
