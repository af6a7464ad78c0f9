"""A predictor that survives a shortage of memory: it forgets encodings, then leaves the graphics card, then says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...errors import MemoryShortageError
from .texts import _


class CarefulPredictor:
    """Wraps a `PlanePredictor`. told: called with a sentence when the work moves to the processor."""

    def __init__(self, inner, told: Callable[[str], None]) -> None:
        self._inner = inner
        self._told = told

    @property
    def planes(self):
        """The predictor inside, which encodes planes ahead of time."""
        return self._inner

    @property
    def network(self):
        return self._inner.network

    @property
    def trained_prompts(self):
        return self._inner.trained_prompts

    def predict(self, image, prompts, crop=None):
        """As `PlanePredictor.predict`. Raises MemoryShortageError where nothing helps; nothing is lost then."""
        for attempt in self._attempts():
            try:
                return self._inner.predict(image, prompts, crop)
            except (RuntimeError, MemoryError) as error:
                if not _is_shortage(error):
                    raise
                attempt()
        raise MemoryShortageError(
            _(
                "There is not enough memory for this model. Nothing was lost. Close other programs, or choose a "
                "smaller model in the section Set-up."
            )
        )

    def _attempts(self) -> Iterator[Callable[[], None]]:
        """What to do after each failure in turn."""
        yield self._forget
        if self._inner.device.type != "cpu":
            yield self._leave_the_graphics_card
        yield lambda: None

    def _forget(self) -> None:
        import torch

        self._inner.cache.clear()
        if self._inner.device.type == "cuda":
            torch.cuda.empty_cache()

    def _leave_the_graphics_card(self) -> None:
        import torch

        self._inner.device = torch.device("cpu")
        self._inner.network.to("cpu")
        self._forget()
        self._told(_("The graphics card has not enough memory; the work goes on on the processor, more slowly."))


def _is_shortage(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "not enough memory" in text
