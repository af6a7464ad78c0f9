"""A propagation over many planes between two prompted ones: time against (a), and whether the masks are the same.

Planes between two key planes are answered from both sides. (a) runs the network for every answer; ours encodes each
plane once.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from ...inference.encoding.cache import EmbeddingCache
from ...inference.encoding.encoders import Precision, TorchEncoder
from ...inference.encoding.openvino_encoder import OpenVinoEncoder
from ...inference.mask_geometry import dice
from ...inference.predictor import PlanePredictor
from ...networks.parts.published_forms import as_published
from ...volumes.propagation.steps import Direction
from ...volumes.propagation.walks import Propagation
from .host import longest_block
from .phantom import PhantomPlanes
from .table import Row, in_ms, limit_row, ratio_row

_TARGET = 4
_DICE_TOLERANCE = 0.002
_BLOCK_SHARE, _BLOCK_S = 0.15, 0.1  # of the time of one plane of (a); with OpenVINO
_TURNS, _PLANES_A_TURN = 5, 5  # at most so many, of at least so many planes: at the end of each, ours idles a little
_POLL_S = 0.001


class TimedPropagation:
    """A propagation over `count` planes between two prompted ones, a few planes a turn.

    masks: plane to (H, W) bool. answers, encodes: the network's work so far.
    """

    def __init__(self, predictor: PlanePredictor, count: int) -> None:
        planes = PhantomPlanes(count)
        before = predictor.counts.answered, predictor.counts.encoded
        starts = {index: predictor.predict(planes.image(index), planes.box(index)) for index in (0, count - 1)}
        self.masks: dict[int, np.ndarray] = {index: answer.mask for index, answer in starts.items()}
        self._predictor, self._before = predictor, before
        self._steps = Propagation(planes, predictor).from_planes(starts)
        self._seconds: dict[Direction, list[float]] = {Direction.UP: [], Direction.DOWN: []}

    @property
    def answers(self) -> int:
        return self._predictor.counts.answered - self._before[0]

    @property
    def encodes(self) -> int:
        return self._predictor.counts.encoded - self._before[1]

    def turn(self, planes: int) -> bool:
        """Go on by some planes, the encodings begun of those after them included. False once all are done."""
        done = 0
        began = time.perf_counter()
        while done < planes:
            step = next(self._steps, None)
            if step is None and not done:
                return False
            if step is None or (step.answer is None and done):  # a walk has ended: turns do not mix both ways
                break
            if step.answer is not None:
                self.masks[step.index] = step.answer.mask
                way = step.direction
                done += 1
        while self._predictor.count_ahead:
            if not self._predictor.poll_ahead():
                time.sleep(_POLL_S)
        self._seconds[way].append((time.perf_counter() - began) / done)
        return True

    @property
    def has_gone_both_ways(self) -> bool:
        """Whether there is a plane to tell the time of, each way."""
        return all(self._seconds.values())

    def seconds(self, *ways: Direction) -> float:
        """For all planes of these ways: the median of the turns' seconds a plane, times the planes."""
        between = len(self.masks) - 2
        return sum(between * median(self._seconds[way]) for way in ways)


def straightforward(predictor: PlanePredictor) -> PlanePredictor:
    """(a): the same network in fp32 with torch and the encoder as published, which forgets each plane with the next."""
    plain = as_published(predictor.network)
    encode = TorchEncoder(plain, Precision.FULL)
    return PlanePredictor(plain, predictor.device, predictor.zoom, EmbeddingCache(0), encode)


def propagation_rows(predictor: PlanePredictor, count: int) -> list[Row]:
    """Ours and (a)'s take turns, a few planes each."""
    ours, theirs = TimedPropagation(predictor, count), TimedPropagation(straightforward(predictor), count)
    planes = max(_PLANES_A_TURN, count // _TURNS)
    going_on = True
    while going_on:
        going_on = ours.turn(planes) | theirs.turn(planes)
    predictor.cache.clear()
    one_way = f"propagation over {count} planes, one way"
    if not (ours.has_gone_both_ways and theirs.has_gone_both_ways):
        return [Row(one_way, value="not measured: the model loses the object at once")]
    both = (Direction.UP, Direction.DOWN)
    both_ways = (
        f"- and back, each plane answered from both sides "
        f"((a): {theirs.encodes} encodes, {theirs.answers} decodes; ours: {ours.encodes}, {ours.answers})"
    )
    difference = mean_dice_difference(ours.masks, theirs.masks)
    found = f"{difference:.4f} on {len(ours.masks)} planes"
    met = difference <= _DICE_TOLERANCE and ours.masks.keys() == theirs.masks.keys()
    return [
        ratio_row(one_way, theirs.seconds(Direction.UP), ours.seconds(Direction.UP), _TARGET),
        ratio_row(both_ways, theirs.seconds(*both), ours.seconds(*both), _TARGET),
        Row("- mean Dice of (a)'s masks and ours is 1 less", value=found, target=f"<= {_DICE_TOLERANCE}", met=met),
    ]


def block_row(predictor: PlanePredictor, count: int, forward_s: float) -> Row:
    """forward_s: (a)'s encode and decode of one plane."""
    predictor.cache.clear()
    longest = longest_block(predictor, count)
    aim = _BLOCK_SHARE * forward_s
    if isinstance(predictor.encode_planes, OpenVinoEncoder):
        aim = min(aim, _BLOCK_S)
    what = f"longest block of a host's event loop, propagating over {count} planes"
    return limit_row(what, longest, in_ms(longest), aim, f"<= {in_ms(aim)}")


def mean_dice_difference(one: dict[int, np.ndarray], other: dict[int, np.ndarray]) -> float:
    """1 - mean Dice over the planes that either has; a plane that only one has counts as Dice 0."""
    indices = one.keys() | other.keys()
    return 1 - float(np.mean([dice(one[i], other[i]) if i in one and i in other else 0.0 for i in indices]))
