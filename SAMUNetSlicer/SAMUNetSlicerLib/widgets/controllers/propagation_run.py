"""A propagation under way: one plane a step, with progress, the time that remains, and a Cancel that takes at once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum

from ...errors import EditError
from ...scene.actions.propagating import PropagatedPlane
from ...scene.record.document import PlaneStatus
from .breathing import Breather, Interrupted
from .session import Session
from .texts import _


@dataclass(frozen=True)
class Progress:
    """done, total: planes; total is an upper bound. remaining_s: None until it can be told."""

    done: int
    total: int
    remaining_s: float | None

    def text(self) -> str:
        """For example "12 of at most 40, about 25 s left"."""
        text = _("{done} of at most {total}").format(done=self.done, total=self.total)
        if self.remaining_s is None:
            return text
        return text + ", " + _("about {time} left").format(time=in_words(self.remaining_s))


def in_words(seconds: float) -> str:
    """For example "25 s" or "3 min"."""
    if seconds < 90:
        return _("{seconds} s").format(seconds=max(1, round(seconds)))
    return _("{minutes} min").format(minutes=round(seconds / 60))


class Along(Enum):
    """What a propagation walks along."""

    PLANES = "planes"
    TIME = "time"


class PropagationRun:
    """Call `step` until it returns False. Planes that are finished stay proposed, whatever ends the run."""

    def __init__(
        self,
        session: Session,
        direction: str = "both",
        planes: tuple[int, int] | None = None,
        breather: Breather | None = None,
        along: Along = Along.PLANES,
    ) -> None:
        """planes: first and last plane to propose, None for all. breather: lets the window live within a plane.

        along TIME, the plane that is worked on is proposed in the other items of the sequence.

        Raises UserError where it cannot begin.
        """
        if session.segment_id not in session.segments:
            raise EditError(_("Choose a segment, or add one."))
        self._breather = breather or Breather(lambda: None)
        self._along = along
        if along is Along.TIME:
            self._steps = session.propagate_in_time(direction)
        else:
            self._steps = session.propagate(direction, planes)
        self._began = time.monotonic()
        self._cancelled = False
        self.executing = False
        self.finished = False
        self.last: PropagatedPlane | None = None
        self.stops: list[str] = []

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def step(self) -> bool:
        """Do the next plane; False when there is none, or the run was cancelled. Raises UserError, ending the run."""
        if self.finished or self._cancelled:
            self._end()
            return False
        self.executing = True
        try:
            with self._breather.turn(lambda: self._cancelled):
                self.last = next(self._steps)
        except StopIteration:
            self.finished = True
            return False
        except Interrupted:
            self._end()
            return False
        except BaseException:
            self.finished = True
            raise
        finally:
            self.executing = False
        if self.last.status is PlaneStatus.STOPPED:
            self.stops.append(_("plane {number}: {why}").format(number=self.last.index, why=self.last.stopped))
        return True

    def cancel(self) -> None:
        """Stop within the plane that is being answered. Finished planes stay."""
        self._cancelled = True

    def progress(self) -> Progress:
        if self.last is None or not self.last.done:
            return Progress(0, self.last.total if self.last else 0, None)
        per_plane = (time.monotonic() - self._began) / self.last.done
        return Progress(self.last.done, self.last.total, per_plane * (self.last.total - self.last.done))

    def outcome(self) -> str:
        """What came of it, in a sentence."""
        done = self.last.done if self.last else 0
        if self._cancelled:
            return _("Cancelled after {done} planes. They stay proposed.").format(done=done)
        if self._along is Along.TIME:
            return _(
                "The plane is proposed in {done} other items of the sequence. Move through them and check; accept in "
                "each, or in all items at once."
            ).format(done=done)
        text = _("{done} planes are proposed. Check the uncertain ones, then accept.").format(done=done)
        if not self.stops:
            return text
        return text + " " + _("Propagation ended at {places}.").format(places="; ".join(self.stops))

    def _end(self) -> None:
        self.finished = True
        self._steps.close()
