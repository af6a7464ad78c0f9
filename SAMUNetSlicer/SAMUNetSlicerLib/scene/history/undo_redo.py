"""Undo and redo over many levels: each step holds the voxels that changed and no more.

A step never overwrites an edit that was made elsewhere in between (in the Segment Editor, by a script). Voxels that
no longer are as the step left them stay as they are, for undo and for redo; the user is told how many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from undo_stack import UndoCommand, UndoStack

from ...errors import UserError

DEFAULT_BYTES = 200 * 2**20


class Part(Protocol):
    """One reversible piece of a step."""

    @property
    def nbytes(self) -> int: ...

    def undo(self) -> str:
        """Take it back; returns what the user must be told, or "". Raises UserError where nothing could be done."""

    def redo(self) -> str:
        """Do it again; as `undo`."""


@dataclass(frozen=True)
class HistoryOutcome:
    """What was undone or redone, in words, and what of it was left alone."""

    text: str
    notes: tuple[str, ...] = ()


class Step(UndoCommand):
    """Some parts that are undone and redone together."""

    def __init__(self, text: str, parts: Sequence[Part]) -> None:
        super().__init__()
        self._text = text
        self.parts = tuple(parts)
        self.notes: tuple[str, ...] = ()
        # Weighed once, since a step may have a part for each plane; parts only become smaller.
        self.nbytes = sum(part.nbytes for part in self.parts)

    def undo(self) -> None:
        self._run([part.undo for part in reversed(self.parts)])

    def redo(self) -> None:
        self._run([part.redo for part in self.parts])

    def _run(self, actions) -> None:
        notes = []
        for action in actions:
            try:
                notes.append(action())
            except UserError as error:
                notes.append(str(error))
        self.notes = tuple(dict.fromkeys(note for note in notes if note))


class History:
    """Steps that can be undone and redone, in at most `limit_bytes`: then the oldest are forgotten.

    The newest step is always kept, however large.
    """

    def __init__(self, limit_bytes: int = DEFAULT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._stack = UndoStack()
        self._steps: deque[Step] = deque()

    @property
    def nbytes(self) -> int:
        """Memory that the steps hold, for undo and redo together."""
        return sum(step.nbytes for step in self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def can_undo(self) -> bool:
        return self._stack.can_undo()

    @property
    def can_redo(self) -> bool:
        return self._stack.can_redo()

    @property
    def undo_text(self) -> str:
        return self._stack.undo_text()

    @property
    def redo_text(self) -> str:
        return self._stack.redo_text()

    @property
    def undo_parts(self) -> tuple[Part, ...]:
        """What the next undo takes back."""
        return self._steps[self._stack.index() - 1].parts if self.can_undo else ()

    @property
    def redo_parts(self) -> tuple[Part, ...]:
        """What the next redo does again."""
        return self._steps[self._stack.index()].parts if self.can_redo else ()

    def done_parts(self) -> Iterator[Part]:
        """What undo would take back, again and again: the newest first."""
        for step in reversed([*self._steps][: self._stack.index()]):
            yield from reversed(step.parts)

    def push(self, text: str, parts: Sequence[Part]) -> None:
        """Keep a step that was just done; what could be redone is forgotten. A step without parts is none."""
        if not parts:
            return
        while len(self._steps) > self._stack.index():
            self._steps.pop()
        step = Step(text, parts)
        self._stack.push(step)
        self._steps.append(step)
        while self.nbytes > self.limit_bytes and len(self._steps) > 1:
            self._steps.popleft()
            # The limit of the stack counts steps; it is set for a moment to forget the oldest.
            self._stack.set_undo_limit(len(self._steps))
            self._stack.set_undo_limit(0)

    def undo(self) -> HistoryOutcome | None:
        """Take the last step back; None where there is none."""
        if not self.can_undo:
            return None
        step = self._steps[self._stack.index() - 1]
        self._stack.undo()
        return HistoryOutcome(step.text(), step.notes)

    def redo(self) -> HistoryOutcome | None:
        """Do the step again that was undone last; None where there is none."""
        if not self.can_redo:
            return None
        step = self._steps[self._stack.index()]
        self._stack.redo()
        return HistoryOutcome(step.text(), step.notes)

    def clear(self) -> None:
        self._stack.clear()
        self._steps.clear()
