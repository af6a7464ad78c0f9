"""Planes that a walk comes to are being encoded while it decodes, and the host shows, those before."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from ...errors import UserError
from ...inference.predictor import PlaneImage, PlaneMask, PlanePredictor, PlaneRequest
from ...inference.prompts import PlanePrompts, bounding_box_xyxy
from ...inference.zoom import Crop
from .steps import PlaneRange, PlaneSource


class LookAhead:
    """The pictures of one walk's planes, and the crops that they are encoded from before anybody asks.

    How the object moves is found out when a plane is asked for; until then it is taken to stay. Predictors that cannot
    begin ahead (those of scripts) are left alone.

    step: 1 or -1. crops: those that planes were already encoded from, kept where they serve.
    """

    def __init__(
        self,
        planes: PlaneSource,
        predictor: PlanePredictor,
        step: int,
        within: PlaneRange,
        crops: Mapping[int, Crop] | None = None,
    ) -> None:
        self._planes, self._predictor, self._step, self._within = planes, predictor, step, within
        self._can_begin = hasattr(predictor, "encode_ahead")
        self._crops = dict(crops or {})
        self._begun: dict[int, PlaneImage] = {}

    def take(self, index: int) -> PlaneImage:
        """The picture of a plane that is asked for now."""
        begun = self._begun.pop(index, None)
        return self._planes.image(index) if begun is None else begun

    def crop(self, index: int, neighbour: PlaneMask) -> Crop | None:
        """What to ask a plane in, beside the one that was answered."""
        return self._crops.get(index, neighbour.crop)

    def begin_after(self, index: int, answer: PlaneMask) -> None:
        """Begin the plane after the answered one, and one more where it would be computed beside that."""
        if not self._can_begin:
            return
        still = PlanePrompts(box_xyxy=bounding_box_xyxy(answer.mask))
        crop = answer.crop
        for beyond in (index + self._step, index + 2 * self._step):
            is_next = beyond == index + self._step
            if beyond not in self._within or not (is_next or self._predictor.has_room_beside):
                return
            with suppress(UserError):  # which comes again when the plane is asked for; this one is to be shown first
                image = self._begun[beyond] = self._begun.get(beyond) or self._planes.image(beyond)
                crop = self._predictor.encode_ahead(PlaneRequest(image, still, self._crops.get(beyond, crop)))
                self._crops[beyond] = crop

    def __enter__(self) -> LookAhead:
        return self

    def __exit__(self, *_exception) -> None:
        """Give up what was begun, where the walk ends before."""
        if self._can_begin:
            self._predictor.give_up_ahead(self._begun.values())
