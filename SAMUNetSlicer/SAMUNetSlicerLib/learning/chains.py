"""Chains: neighbouring planes through one frame, from which answering the mask of the plane before is learnt.

Three kinds: planes of labelled volumes, planes of made-up volumes (`synthetic`), and pictures that are bent a little
more from plane to plane, as Oh et al. (RGMP, CVPR 2018) train on single pictures for want of films.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from . import synthetic
from .augmentation import Augmentation
from .crops import MIN_VISIBLE, Look, bounding_box, cut, pad, random_frame, turned
from .production import Mixture, build_mixture, draw_pair, read_or_skip
from .sources import Picture, SourceSpec, Split, find_pairs, is_volume, read_planes, split_pairs

LENGTH = 6  # planes of a chain
# From a plane to the next: deviation of growth, smooth bending at most (pixels of the input), change of brightness.
_GROWTH, _BEND, _DRIFT = 0.09, 5.0, 0.06
_PACES = (0.3, 1.6)  # times these
_SHARES = (0.5, 0.3, 0.2)  # of chains from volumes, made-up volumes and bent pictures

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


# Looks at neighbouring planes, all with the same objects, which need not be on every plane.
Chain = list[Look]


@dataclass(frozen=True)
class ChainMixture:
    """What chains are drawn from; shares of volumes, of made-up volumes, and of bent pictures."""

    volumes: Mixture
    pictures: Mixture
    shares: tuple[float, float, float]


def training_chains(specs: list[SourceSpec], root: Path, seed: int) -> Callable[[int], Chain]:
    """A chain by its number: the same whoever asks. Each is a shard of a bank."""
    mixture, augmentation = build_chain_mixture(specs, root), Augmentation()
    return lambda index: draw_chain(mixture, np.random.default_rng([seed, index]), augmentation)


def development_chains(specs: list[SourceSpec], root: Path, per_source: int) -> Iterator[Chain]:
    """Chains of held-back volumes, not augmented."""
    for spec in specs:
        pairs = split_pairs(spec, find_pairs(spec, root), Split.DEVELOPMENT)
        rng = np.random.default_rng(0)
        for number in range(per_source if pairs and is_volume(pairs[0].image) else 0):
            pair = pairs[number % len(pairs)]
            planes = read_or_skip(pair, rng, lambda pair, r: read_planes(pair, r, LENGTH))
            chain = None if not planes else _look_at(planes, rng, lambda image, _rng: image)
            if chain is not None:
                yield chain


def build_chain_mixture(specs: list[SourceSpec], root: Path) -> ChainMixture:
    """The training side of all sources, volumes apart from pictures."""
    whole = build_mixture(specs, root, synthetic_share=0.0)
    sides = []
    for wanted in (True, False):
        of_kind = [(p, w) for p, w in zip(whole.pairs, whole.weights, strict=True) if is_volume(p[0].image) is wanted]
        sides.append(Mixture(tuple(p for p, _ in of_kind), tuple(w for _, w in of_kind), synthetic_share=0.0))
    shares = np.array(_SHARES) * [bool(sides[0].pairs), True, bool(sides[1].pairs)]
    return ChainMixture(*sides, tuple(shares / shares.sum()))


def draw_chain(mixture: ChainMixture, rng: np.random.Generator, augmentation: Augmentation) -> Chain:
    """A random, augmented chain with at least one object."""
    while True:
        kind = rng.choice(3, p=mixture.shares)
        if kind == 0:
            planes = read_or_skip(draw_pair(mixture.volumes, rng), rng, lambda pair, r: read_planes(pair, r, LENGTH))
        elif kind == 1:
            planes = synthetic.make_planes(rng, LENGTH)
        else:
            picture = read_or_skip(draw_pair(mixture.pictures, rng), rng)
            planes = None if picture is None else [picture]
        chain = None if not planes else _look_at(planes, rng, augmentation)
        if chain is not None:
            return chain


def _look_at(planes: list[Picture], rng: np.random.Generator, augmentation: Augment) -> Chain | None:
    """The planes, or one picture and bent copies of it, through one frame."""
    seed = int(rng.integers(2**31))
    objects, source, case = planes[0].objects, planes[0].source, planes[0].case
    planes = [turned(plane, np.random.default_rng(seed)) for plane in planes]
    shown = [plane for plane in planes if plane.objects]
    if not shown:
        return None
    frame = random_frame(shown[rng.integers(len(shown))], rng)
    seen = [cut(plane, frame) for plane in planes]
    if len(seen) == 1:
        seen = _bent(*seen[0], rng)
    # Side by side, so that all planes get the same contrast, but noise of their own.
    together = augmentation(np.concatenate([image for image, _ in seen], axis=1), rng)
    padded = [pad(image, parts) for image, (_, parts) in zip(np.split(together, len(seen), axis=1), seen, strict=True)]
    parts = np.stack([parts for _, parts in padded])
    followed = tuple(members for members in objects if _is_worth_following(parts, members))
    if not followed:
        return None
    visible = seen[0][1].shape
    return [Look(image, parts, visible, followed, source, case) for image, parts in padded]


def _is_worth_following(parts: np.ndarray, members: tuple[int, ...]) -> bool:
    """Whether it is visible enough on some plane. parts: (L, 256, 256)."""
    return bool((np.isin(parts, members).sum(axis=(1, 2)) >= MIN_VISIBLE).any())


def _bent(image: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Copies of (3, h, w) float32 and (h, w) uint8, bent more and more; one object grows or shrinks."""
    pace = np.exp(rng.uniform(*np.log(_PACES)))
    height, width = parts.shape
    rows_columns = np.mgrid[:height, :width].astype(np.float32)
    step = pace * rng.uniform(0, _BEND) * np.stack([_noise(parts.shape, rng) for _ in range(2)])
    numbers = np.unique(parts[parts > 0])
    if len(numbers):
        x0, y0, x1, y1 = bounding_box(parts == rng.choice(numbers))
        away = rows_columns - np.array([(y0 + y1) / 2, (x0 + x1) / 2], np.float32)[:, None, None]
        reach = 0.6 * max(x1 - x0, y1 - y0)
        step = step + pace * rng.normal(0, _GROWTH) * away * np.exp(-np.square(away / reach).sum(axis=0) / 2)
    brighter = pace * rng.uniform(0, _DRIFT) * _noise(parts.shape, rng)
    drawn = rng.integers(LENGTH)
    copies = []
    for plane in range(LENGTH):
        at = rows_columns + (plane - drawn) * step
        bent = np.stack([ndimage.map_coordinates(channel, at, order=1, mode="nearest") for channel in image])
        labels = ndimage.map_coordinates(parts, at, order=0, mode="nearest")
        copies.append((np.clip(bent * (1 + (plane - drawn) * brighter), 0, 255).astype(np.float32), labels))
    return copies


def _noise(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit deviation."""
    return synthetic.smooth_noise(rng, rng.uniform(20, 80))[: shape[0], : shape[1]]
