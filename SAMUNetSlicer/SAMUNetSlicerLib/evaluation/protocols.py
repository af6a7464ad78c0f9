"""Simulated users of one plane: what they prompt, given the target and what the method answered so far."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..inference.mask_geometry import deepest_point_xy, depth_inside, largest_component
from ..inference.predictor import PlaneMask
from ..inference.prompts import PlanePrompts, Sign, bounding_box_xyxy
from ..networks.base import PromptKind
from .cases import PlaneCase
from .methods import PlaneMethod

BOX_JITTER = 0.1  # of a box's side, for each edge
POINTS = 3
CORRECTIONS = 3

PickPoint = Callable[[np.ndarray, np.random.Generator], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Round:
    """One answer. prompt: what was given, as tables name it."""

    prompt: str
    prompts: PlanePrompts
    answer: PlaneMask


@dataclass(frozen=True)
class PlaneProtocol:
    """needs: a method that lacks one of these kinds of prompt is not asked."""

    name: str
    needs: PromptKind
    run: Callable[[PlaneCase, PlaneMethod, np.random.Generator], Iterator[Round]]


def exact_box(case: PlaneCase, method: PlaneMethod, rng: np.random.Generator) -> Iterator[Round]:
    """The half-open bounding box of the target."""
    prompts = PlanePrompts(box_xyxy=bounding_box_xyxy(case.target))
    yield Round("exact box", prompts, method.answer(case.image, prompts))


def jittered_box(case: PlaneCase, method: PlaneMethod, rng: np.random.Generator) -> Iterator[Round]:
    """A box as hasty users draw it: each edge moved by up to 10 % of the box's side."""
    prompts = PlanePrompts(box_xyxy=jitter_box(bounding_box_xyxy(case.target), case.target.shape, rng))
    yield Round("jittered box", prompts, method.answer(case.image, prompts))


def points(case: PlaneCase, method: PlaneMethod, rng: np.random.Generator) -> Iterator[Round]:
    """The point deepest inside the target, then the one deepest inside the largest error, again and again."""
    yield from _clicks(case, method, rng, deepest, "")


def random_points(case: PlaneCase, method: PlaneMethod, rng: np.random.Generator) -> Iterator[Round]:
    """As `points`, but anywhere inside the target and the largest error, off their borders where there is room."""
    yield from _clicks(case, method, rng, random_inside, "random ")


def corrected_box(case: PlaneCase, method: PlaneMethod, rng: np.random.Generator) -> Iterator[Round]:
    """The exact box, then points deepest inside the largest error, with the answer before as mask prompt."""
    prompts = PlanePrompts(box_xyxy=bounding_box_xyxy(case.target))
    answer = method.answer(case.image, prompts)
    for count in range(1, CORRECTIONS + 1):
        prompts, answer = _corrected(case, method, prompts, answer, deepest, rng)
        yield Round(f"box + {_counted(count, 'correction')}", prompts, answer)


PLANE_PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        PlaneProtocol("box", PromptKind.BOX, exact_box),
        PlaneProtocol("jittered-box", PromptKind.BOX, jittered_box),
        PlaneProtocol("points", PromptKind.POINTS, points),
        PlaneProtocol("random-points", PromptKind.POINTS, random_points),
        PlaneProtocol("corrections", PromptKind.BOX | PromptKind.POINTS, corrected_box),
    )
}


def case_generator(seed: int, protocol: str, case: str) -> np.random.Generator:
    """Random numbers that depend on nothing else: all methods see the same prompts, whatever else is evaluated."""
    return np.random.default_rng([seed, zlib.crc32(protocol.encode()), zlib.crc32(case.encode())])


def jitter_box(
    box_xyxy: tuple[float, float, float, float], size_hw: tuple[int, int], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Each edge moved by up to BOX_JITTER of its side, kept inside the plane."""
    x0, y0, x1, y1 = box_xyxy
    moves = rng.uniform(-BOX_JITTER, BOX_JITTER, 4) * (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
    height, width = size_hw
    return tuple(np.clip(np.add(box_xyxy, moves), 0, (width, height, width, height)).tolist())


def largest_error(answer: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, Sign] | None:
    """The largest connected region that is missing (a positive point helps) or too much (a negative one).

    None where answer and target are the same.
    """
    missing, surplus = largest_component(target & ~answer), largest_component(answer & ~target)
    if not missing.any() and not surplus.any():
        return None
    if np.count_nonzero(missing) >= np.count_nonzero(surplus):
        return missing, Sign.POSITIVE
    return surplus, Sign.NEGATIVE


def deepest(region_yx: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The maximum of the distance transform."""
    return deepest_point_xy(region_yx)


def random_inside(region_yx: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Any pixel that does not touch the region's border, or any pixel of a region without such."""
    inner = depth_inside(region_yx) > 1
    rows, columns = np.nonzero(inner if inner.any() else region_yx)
    chosen = rng.integers(len(rows))
    return float(columns[chosen]), float(rows[chosen])


def _clicks(
    case: PlaneCase, method: PlaneMethod, rng: np.random.Generator, pick: PickPoint, adjective: str
) -> Iterator[Round]:
    prompts = PlanePrompts(points_xy=(pick(case.target, rng),), signs=(Sign.POSITIVE,))
    answer = method.answer(case.image, prompts)
    yield Round(f"1 {adjective}point", prompts, answer)
    for count in range(2, POINTS + 1) if method.corrects else ():
        prompts, answer = _corrected(case, method, prompts, answer, pick, rng)
        yield Round(_counted(count, f"{adjective}point"), prompts, answer)


def _corrected(
    case: PlaneCase,
    method: PlaneMethod,
    prompts: PlanePrompts,
    answer: PlaneMask,
    pick: PickPoint,
    rng: np.random.Generator,
) -> tuple[PlanePrompts, PlaneMask]:
    """One more point where the answer is most wrong; a perfect answer is left alone."""
    error = largest_error(answer.mask, case.target)
    if error is None:
        return prompts, answer
    region, sign = error
    mask = answer.logits if PromptKind.MASK in method.kinds and answer.mask.any() else None
    points_xy, signs = (*prompts.points_xy, pick(region, rng)), (*prompts.signs, sign)
    prompts = replace(prompts, points_xy=points_xy, signs=signs, mask=mask)
    return prompts, method.answer(case.image, prompts, answer)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
