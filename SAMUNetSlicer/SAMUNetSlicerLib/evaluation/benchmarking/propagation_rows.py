"""A propagation over many planes between two prompted ones: time against (a), and whether the masks are the same.

Planes between two key planes are answered from both sides. (a) runs the network for every answer; ours encodes each
plane once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ...inference.cache import EmbeddingCache
from ...inference.encoders import Precision, TorchEncoder
from ...inference.openvino_encoder import OpenVinoEncoder
from ...inference.predictor import PlanePredictor
from ...networks.published_forms import as_published
from ...volumes.propagation import Direction, Propagation
from .phantom import PhantomPlanes
from .table import Row, in_ms, limit_row, ratio_row
from .timing import seconds_of

_TARGET = 4
_DICE_TOLERANCE = 0.002
_BLOCK_SHARE, _BLOCK_S = 0.15, 0.1  # of the time of one plane of (a); with OpenVINO
_HOSTS_PAUSE_S = 0.005


@dataclass(frozen=True, eq=False)
class Propagated:
    """What came of one run. one_way_s: until the walk from the first plane to the last was done."""

    masks: dict[int, np.ndarray]
    one_way_s: float
    seconds: float
    answers: int
    encodes: int


def straightforward(predictor: PlanePredictor) -> PlanePredictor:
    """(a): the same network in fp32 with torch and the encoder as published, which forgets each plane with the next."""
    plain = as_published(predictor.network)
    encode = TorchEncoder(plain, Precision.FULL)
    return PlanePredictor(plain, predictor.device, predictor.zoom, EmbeddingCache(0), encode)


def propagate(predictor: PlanePredictor, count: int) -> Propagated:
    """`count` planes, the first and the last of them prompted."""
    planes = PhantomPlanes(count)
    ends = (0, count - 1)
    masks: dict[int, np.ndarray] = {}
    before = predictor.counts.answered, predictor.counts.encoded
    began = one_way = time.perf_counter()
    starts = {index: predictor.predict(planes.image(index), planes.box(index)) for index in ends}
    masks.update({index: answer.mask for index, answer in starts.items()})
    for step in Propagation(planes, predictor).from_planes(starts):
        if step.answer is not None:
            masks[step.index] = step.answer.mask
        if step.direction is Direction.UP:
            one_way = time.perf_counter()
    counts = predictor.counts
    work = counts.answered - before[0], counts.encoded - before[1]
    return Propagated(masks, one_way - began, time.perf_counter() - began, *work)


def propagation_rows(predictor: PlanePredictor, count: int) -> list[Row]:
    """Ours is run twice, before and after (a), and its mean is compared."""
    first = propagate(predictor, count)
    theirs = propagate(straightforward(predictor), count)
    predictor.cache.clear()
    second = propagate(predictor, count)
    one_way_s, both_ways_s = (first.one_way_s + second.one_way_s) / 2, (first.seconds + second.seconds) / 2
    both_ways = (
        f"- and back, each plane answered from both sides "
        f"((a): {theirs.encodes} encodes, {theirs.answers} decodes; ours: {first.encodes}, {first.answers})"
    )
    difference = mean_dice_difference(first.masks, theirs.masks)
    found = f"{difference:.4f} on {len(first.masks)} planes"
    met = difference <= _DICE_TOLERANCE and first.masks.keys() == theirs.masks.keys()
    return [
        ratio_row(f"propagation over {count} planes, one way", theirs.one_way_s, one_way_s, _TARGET),
        ratio_row(both_ways, theirs.seconds, both_ways_s, _TARGET),
        Row("- mean Dice of (a)'s masks and ours is 1 less", value=found, target=f"<= {_DICE_TOLERANCE}", met=met),
    ]


def longest_block(predictor: PlanePredictor, count: int) -> float:
    """The longest time in seconds for which a host stands still that polls while it propagates over `count` planes."""
    planes = PhantomPlanes(count)
    walk = Propagation(planes, predictor)
    starts = {0: predictor.predict(planes.image(0), planes.box(0))}
    turns = [seconds_of(lambda: walk.prepare(starts))]
    steps = walk.from_planes(starts)
    going_on = [True]

    def turn() -> None:
        if predictor.poll_ahead():
            going_on[0] = next(steps, None) is not None

    while going_on[0]:
        turns.append(seconds_of(turn))
        time.sleep(_HOSTS_PAUSE_S)
    return max(turns)


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
    return 1 - float(np.mean([_dice(one[i], other[i]) if i in one and i in other else 0.0 for i in indices]))


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 1.0 if total == 0 else 2 * np.count_nonzero(a & b) / total
