"""What the panels share: the session, the model, a propagation under way, and what is told to the user."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ...errors import InputError, UserError
from ...scene.logic import SegmentationLogic
from ...scene.nodes.names import ROLE, ROLE_PROPOSALS
from .breathing import Breather, Interrupted
from .models import ModelLoader
from .propagation_run import Along, PropagationRun
from .session import Session
from .texts import _, package_not_loaded

if TYPE_CHECKING:  # brings torch, which Slicer gets only later
    from ...inference.jobs import Job
    from ...inference.predictor import PlanePredictor


class Tone(Enum):
    """How a message is meant."""

    PLAIN = "plain"
    ERROR = "error"


@dataclass(frozen=True)
class Message:
    text: str
    tone: Tone = Tone.PLAIN


class Work:
    """`session` is None until a volume is chosen. Panels add themselves to `listeners`, called after every change.

    What the user does while an answer is being computed is done right after it, in order; nothing is lost.
    """

    def __init__(self, logic: SegmentationLogic, breathe: Callable[[], None]) -> None:
        self.logic = logic
        self.logic.checkLater = True  # see `use_idle_time`
        self.breather = Breather(breathe, self._answer_lasts)
        self.loader = ModelLoader(self.say, self.breather)
        self.session: Session | None = None
        self.run: PropagationRun | None = None
        self.message = Message("")
        self.listeners: list[Callable[[], None]] = []
        self._loaded: tuple[str, str] | None = None
        self._predictor = None
        self._answer_stopped = False
        self._depth = 0
        self._computing = Message("")
        self._later: list[Callable[[], object]] = []
        self._ahead: Job | None = None

    # -- telling

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        self.message = Message(text, tone)

    def say_first(self, text: str) -> None:
        """Say something before what is said already."""
        self.message = Message(f"{text} {self.message.text}".strip(), self.message.tone)

    def announce(self, text: str) -> None:
        """Show, before something that takes long, what that is; it is gone afterwards."""
        self.message = self._computing = Message(text)
        self.notify()
        self.breather.breathe()

    def notify(self) -> None:
        for listener in self.listeners:
            listener()

    def attempt(self, action: Callable, *arguments) -> bool:
        """Do something; what goes wrong becomes a message. Panels are brought up to date in any case.

        False where it went wrong, was stopped, or was put off because an answer is being computed.
        """
        if self.breather.is_breathing:
            self._later.append(lambda: self.attempt(action, *arguments))
            return False
        self.message = Message("")
        self._stop_encoding_ahead()
        self._answer_stopped = False
        self._depth += 1
        try:
            with self.breather.turn(lambda: self._answer_stopped):
                action(*arguments)
        except Interrupted:
            if self.session is not None:
                self.say(_("Stopped. The prompts stay; undo removes them."))
            return False
        except UserError as error:
            self.say(str(error), Tone.ERROR)
            return False
        finally:
            self._depth -= 1
            if self.message is self._computing:
                self.message = Message("")
            if self.session is not None and self.message.tone is Tone.PLAIN:
                self._pass_on_messages()
            self.notify()
            self._catch_up()
        return True

    def attempt_quietly(self, action: Callable) -> None:
        """Do something that the user has not asked for; what goes wrong is not told."""
        if self.breather.is_breathing:
            return
        with suppress(UserError):
            action()
        self.notify()

    def when_free(self, action: Callable[[], object]) -> None:
        """Do something now, or right after the answer that is being computed."""
        if self.breather.is_breathing:
            self._later.append(action)
        else:
            action()

    @property
    def answering(self) -> bool:
        """Whether a prompt's answer is being computed while the window lives, or is about to be, as announced."""
        return (self.breather.is_breathing or self.message is self._computing) and not self.busy

    @property
    def is_attempting(self) -> bool:
        """Whether something that the user has asked for is being done right now."""
        return self._depth > 0

    def _catch_up(self) -> None:
        while self._later and not self._depth and not self.breather.is_breathing:
            self._later.pop(0)()

    def _answer_lasts(self) -> None:
        if not self.busy and self.message is not self._computing:
            self.message = self._computing = Message(_("Computing... Esc or Cancel stops it."))
            self.notify()

    def _pass_on_messages(self) -> None:
        try:
            told = self.session.take_messages()
        except UserError as error:
            self.say(str(error), Tone.ERROR)
            return
        if told:
            self.say(" ".join([self.message.text, *told]).strip())

    # -- the session

    def open(self, volume_node, segmentation_node) -> None:
        """Work on these nodes; None for either closes the session. Says what was restored."""
        session = self.session
        if session is not None and (volume_node, segmentation_node) == (session.volume_node, session.node):
            return
        self.close()
        if volume_node is None or segmentation_node is None or segmentation_node.GetAttribute(ROLE) == ROLE_PROPOSALS:
            return
        session = Session(self.logic, volume_node, segmentation_node)
        self.session = session
        session.choose_segment(next(iter(session.segments), ""))
        self.say(session.summary())

    def need_session(self) -> Session:
        """The session. Raises InputError where nothing is worked on yet."""
        if self.session is None:
            raise InputError(_("Nothing is segmented yet. Choose a volume, then place a point or a box on the object."))
        return self.session

    def close(self) -> None:
        """Forget the nodes; what is in the scene stays there."""
        self._stop_encoding_ahead()
        if self.breather.is_breathing:
            self._answer_stopped = True
        if self.run is not None:
            self.run.cancel()
            self.run = None
        self.session = None

    # -- the model

    @property
    def busy(self) -> bool:
        """Whether a propagation is under way: prompts and results are not to be changed then."""
        return self.run is not None

    @property
    def _planes(self) -> PlanePredictor | None:
        """What encodes planes ahead of time; None before a model is loaded, and for predictors of scripts and tests."""
        return getattr(self._predictor, "planes", None)

    def set_predictor(self, predictor, identity=None, name: str = "", device: str = "") -> None:
        """What answers from now on."""
        self._predictor = predictor
        self._loaded = (name, device)
        self.logic.setPredictor(predictor, identity)

    def need_model(self, name: str, device: str) -> None:
        """Load the chosen model if it is not loaded yet, or was installed anew. Raises UserError where it cannot be."""
        given = self._loaded == ("", "")
        chosen = self._loaded == (name, device) and not self.loader.is_outdated()
        if self._predictor is not None and (given or chosen):
            return
        self.announce(
            _("Loading the model... It answers in some seconds; the first time in up to a minute. Esc stops it.")
        )
        try:
            predictor, identity = self.loader.load(name, device)
        except Interrupted as error:
            raise UserError(_("Loading was stopped. The next prompt begins it again.")) from error
        except ModuleNotFoundError as error:
            raise UserError(
                _(
                    "The Python package '{name}' is missing. Press 'Install what is missing' in the section Set-up."
                ).format(name=error.name)
            ) from error
        except (ImportError, OSError) as error:
            raise UserError(package_not_loaded(error)) from error
        self.set_predictor(predictor, identity, name, device)

    def let_go_of(self, name: str) -> None:
        """Hold a model no longer, since Windows keeps a file in use. The next prompt loads it anew."""
        if self.busy or self._loaded is None or self._loaded[0] != name:
            return
        self._stop_encoding_ahead()
        self.set_predictor(None)
        self.loader.let_go()
        gc.collect()  # what refers to itself would keep the file

    # -- propagation

    def start_propagation(self, direction: str, planes: tuple[int, int] | None, along: Along = Along.PLANES) -> None:
        """Begin; `advance` goes on."""
        self.breather.reset()
        self.run = PropagationRun(self.session, direction, planes, self.breather, along)

    def advance(self) -> bool:
        """Do one plane; False once the run has ended, however it did."""
        run = self.run
        if run is None or self.breather.is_breathing:
            return False
        if not run.cancelled and not self._ahead_is_done():
            return True
        try:
            going_on = run.step()
        except UserError as error:
            self.say(str(error), Tone.ERROR)
            going_on = False
        if run is not self.run:  # closed meanwhile
            self._catch_up()
            return False
        if not going_on:
            self.run = None
            self._cancel_ahead()
            if self.message.tone is not Tone.ERROR:
                self.say(run.outcome())
        self.notify()
        self._catch_up()
        return going_on

    def _ahead_is_done(self) -> bool:
        """Go on for a short turn with the plane whose encoding the propagation has begun."""
        if self._planes is None:
            return True
        with self.breather.turn(lambda: False):
            return self._planes.poll_ahead()

    def _cancel_ahead(self) -> None:
        if self._planes is not None:
            self._planes.cancel_ahead()

    # -- idle time

    def use_idle_time(self) -> bool:
        """Go on for a short turn with what nobody waits for; False where nothing is left of it."""
        return self._check_content() or self.encode_ahead()

    def _check_content(self) -> bool:
        """Whether the volume is as it was when the work on it was done; tells where it is not."""
        if self.busy or self.breather.is_breathing or self.session is None:
            return False
        try:
            space = self.session.workspace
            going_on = space.content.go_on()
        except UserError:
            return False
        if space.notes:
            self._pass_on_messages()
            self.notify()
        return going_on

    def encode_ahead(self) -> bool:
        """Go on for a short turn with encoding the planes beside the one that is worked on; False where all are.

        Whatever the user does ends it.
        """
        session = self.session
        if self.busy or self.breather.is_breathing or self._planes is None or session is None:
            return False
        try:
            if not session.has_preview():
                return False
            if self._ahead is None:
                self._ahead = session.begin_beside(self._planes)
            if self._ahead is None:
                return False
            if self._ahead.poll():
                job, self._ahead = self._ahead, None
                job.result()
        except UserError:
            self._ahead = None
            return False
        return True

    def _stop_encoding_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    # -- stopping

    def cancel(self) -> None:
        """Stop the propagation, or the answer that is being computed."""
        if self.run is not None:
            self.run.cancel()
        elif self.breather.is_breathing:
            self._answer_stopped = True
            self._later.clear()
