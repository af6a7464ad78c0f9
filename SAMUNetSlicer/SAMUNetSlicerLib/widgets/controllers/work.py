"""What the panels share: the session, the model, a propagation under way, and what is told to the user."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from ...errors import UserError
from ...scene.logic import SegmentationLogic
from ...scene.names import ROLE, ROLE_PROPOSALS
from .breathing import Breather, Interrupted
from .models import ModelLoader
from .propagation_run import PropagationRun
from .session import Session
from .texts import _


class Tone(Enum):
    """How a message is meant."""

    PLAIN = "plain"
    ERROR = "error"


@dataclass(frozen=True)
class Message:
    text: str
    tone: Tone = Tone.PLAIN


class Work:
    """`session` is None until a volume is chosen. Panels add themselves to `listeners`, called after every change."""

    def __init__(self, logic: SegmentationLogic, breathe: Callable[[], None]) -> None:
        self.logic = logic
        self.loader = ModelLoader(self.say)
        self.breather = Breather(breathe)
        self.session: Session | None = None
        self.run: PropagationRun | None = None
        self.message = Message("")
        self.listeners: list[Callable[[], None]] = []
        self._loaded: tuple[str, str] | None = None
        self._predictor = None
        self._ahead = self._disturbed = False

    # -- telling

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        self.message = Message(text, tone)

    def notify(self) -> None:
        for listener in self.listeners:
            listener()

    def attempt(self, action: Callable, *arguments) -> bool:
        """Do something; what goes wrong becomes a message. Panels are brought up to date in any case."""
        self.message = Message("")
        self._disturbed = True
        try:
            action(*arguments)
        except Interrupted:
            return False
        except UserError as error:
            self.say(str(error), Tone.ERROR)
            return False
        finally:
            if self.session is not None and self.message.tone is Tone.PLAIN:
                self._pass_on_messages()
            self.notify()
        return True

    def attempt_quietly(self, action: Callable) -> None:
        """Do something that the user has not asked for; what goes wrong is not told."""
        with suppress(UserError):
            action()
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

    def close(self) -> None:
        """Forget the nodes; what is in the scene stays there."""
        if self.run is not None:
            self.run.cancel()
            self.run = None
        self.session = None

    # -- the model

    @property
    def network(self):
        return getattr(self._predictor, "network", None)

    @property
    def busy(self) -> bool:
        """Whether a propagation is under way: prompts and results are not to be changed then."""
        return self.run is not None

    def set_predictor(self, predictor, identity=None, name: str = "", device: str = "") -> None:
        """What answers from now on."""
        self._predictor = predictor
        self._loaded = (name, device)
        self.logic.setPredictor(predictor, identity)

    def need_model(self, name: str, device: str) -> None:
        """Load the chosen model if it is not loaded yet. Raises UserError where it cannot be."""
        if self._predictor is not None and self._loaded in ((name, device), ("", "")):
            return
        try:
            predictor, identity = self.loader.load(name, device)
        except ModuleNotFoundError as error:
            raise UserError(
                _(
                    "The Python package '{name}' is missing. Press 'Install what is missing' in the section Set-up."
                ).format(name=error.name)
            ) from error
        self.set_predictor(predictor, identity, name, device)

    # -- propagation

    def start_propagation(self, direction: str, planes: tuple[int, int] | None) -> None:
        """Begin; `advance` goes on."""
        self.breather.reset()
        self.run = PropagationRun(self.session, direction, planes, self.network, self.breather)

    def advance(self) -> bool:
        """Do one plane; False once the run has ended, however it did."""
        run = self.run
        if run is None:
            return False
        try:
            going_on = run.step()
        except UserError as error:
            self.say(str(error), Tone.ERROR)
            going_on = False
        if run is not self.run:  # closed meanwhile
            return False
        if not going_on:
            self.run = None
            if self.message.tone is not Tone.ERROR:
                self.say(run.outcome())
        self.notify()
        return going_on

    # -- idle time

    def encode_ahead(self) -> bool:
        """Encode one plane beside the one that is worked on; False where there is nothing (more) to do.

        The window goes on meanwhile; whatever the user does ends it.
        """
        predictor = getattr(self._predictor, "planes", None)
        session = self.session
        if self.busy or predictor is None or session is None or self._ahead or not session.has_preview():
            return False
        self._ahead, self._disturbed = True, False
        try:
            with self.breather.around(self.network, lambda: self._disturbed):
                return session.encode_beside(predictor)
        except (Interrupted, UserError):
            return False
        finally:
            self._ahead = False

    def cancel(self) -> None:
        if self.run is not None:
            self.run.cancel()
