"""Errors that a user can act on: the message says what is wrong and what to do."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line, one per kind of `UserError`."""

    OK = 0
    USAGE = 2
    INPUT = 3
    PROMPT = 4
    MODEL = 5
    OUTPUT = 6
    MEMORY = 7
    CANCELLED = 130


class UserError(Exception):
    """Something the user can mend. `str(error)` is one plain sentence or two, fit for a message box."""

    exit_code = ExitCode.USAGE


class InputError(UserError):
    """A volume or image cannot be read or used."""

    exit_code = ExitCode.INPUT


class PromptError(UserError):
    """A point, box or mask prompt is unusable: outside the volume, empty, not a number, of no size."""

    exit_code = ExitCode.PROMPT


class ModelError(UserError):
    """A checkpoint is missing, unknown, damaged or does not fit its network."""

    exit_code = ExitCode.MODEL


class EditError(UserError):
    """A segment must not or cannot be changed: it is finished, gone, or lies on another grid."""

    exit_code = ExitCode.OUTPUT


class OutputError(UserError):
    """A result cannot be written."""

    exit_code = ExitCode.OUTPUT


class MemoryShortageError(UserError):
    """Neither the GPU nor the computer's own memory is enough for this work."""

    exit_code = ExitCode.MEMORY
