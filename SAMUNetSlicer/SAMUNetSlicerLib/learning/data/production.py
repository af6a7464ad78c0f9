"""Filling a bank: which looks, in which order, from which generator state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...atomic_file import discard_left_overs, made_folder
from ...errors import InputError
from ...inference.prompts import bounding_box_xyxy
from ..settings import locate_configuration
from ..state import discard_temporaries
from . import synthetic
from .augmentation import Augmentation
from .bank import SHARD_LENGTH, shard_path, write_shard
from .crops import Look, cut, finish, object_mask, random_frame, square_frame, turned
from .encoding import build_encode, load_encoder
from .sources import Pair, Picture, SourceSpec, Split, find_pairs, read_picture, sources_in, split_pairs

# Of damaged PNG and TIFF files the first two, of pictures beyond 179 million pixels the third.
_OF_BROKEN_FILES = (SyntaxError, ValueError, Image.DecompressionBombError, OSError, RuntimeError)
_LEFT_OVER_AFTER_S = 3600
PATIENCE = 1000  # pictures in a row of which none can be learned from
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mixture:
    """What looks are drawn from. weights: one per list of pairs."""

    pairs: tuple[tuple[Pair, ...], ...]
    weights: tuple[float, ...]
    synthetic_share: float


def read_sources(config: str | Path) -> list[SourceSpec]:
    """The sources of a shipped configuration or of a TOML file. Raises InputError."""
    return sources_in(locate_configuration(config))


def build_mixture(specs: list[SourceSpec], root: Path, synthetic_share: float) -> Mixture:
    """The training side of all sources. Raises InputError where it is empty and needed."""
    sides = [(spec.weight, tuple(split_pairs(spec, find_pairs(spec, root), Split.TRAIN))) for spec in specs]
    sides = [(weight, pairs) for weight, pairs in sides if pairs and weight > 0]
    if not sides and synthetic_share < 1:
        raise nothing_to_train_on()
    return Mixture(tuple(p for _, p in sides), tuple(w for w, _ in sides), synthetic_share)


def draw_look(mixture: Mixture, rng: np.random.Generator, augmentation: Augmentation) -> Look:
    """A random, augmented look with at least one object. Raises InputError where pictures never show one."""
    shares = np.array(mixture.weights) / max(sum(mixture.weights), 1e-9)
    for _ in range(PATIENCE):
        if rng.random() < mixture.synthetic_share:
            picture = synthetic.make_picture(rng)
        else:
            pairs = mixture.pairs[rng.choice(len(shares), p=shares)]
            picture = read_or_skip(pairs[rng.integers(len(pairs))], rng)
        if picture is None:
            continue
        picture = turned(picture, rng)
        if not picture.objects:
            continue
        frame = random_frame(picture, rng)
        image, parts = cut(picture, frame)
        look = finish(augmentation(image, rng), parts, picture, frame)
        if look is not None:
            return look
    raise no_objects()


def nothing_to_train_on() -> InputError:
    return InputError("No case is left for training: all are held back for development. Lower development_fraction.")


def no_objects() -> InputError:
    return InputError(
        f"None of {PATIENCE} pictures drawn shows an object. See what was skipped, and `objects` of the sources."
    )


def read_or_skip(pair: Pair, rng: np.random.Generator) -> Picture | None:
    """Large collections have broken files: they are named in the log, and training goes on without them."""
    try:
        return read_picture(pair, rng)
    except (InputError, *_OF_BROKEN_FILES) as error:
        _log.warning("Skipped %s: %s", pair.image.name, error)
        return None


def development_looks(specs: list[SourceSpec], root: Path, per_source: int, zoom: float) -> Iterator[Look]:
    """Looks at the largest object of held-back pictures, not augmented: side = its longer side x zoom."""
    for spec in specs:
        pairs = split_pairs(spec, find_pairs(spec, root), Split.DEVELOPMENT)
        rng = np.random.default_rng(0)
        for index in rng.permutation(len(pairs))[:per_source]:
            picture = read_or_skip(pairs[index], rng)
            look = None if picture is None else _centred_look(picture, zoom)
            if look is not None:
                yield look


def _centred_look(picture: Picture, zoom: float) -> Look | None:
    areas = [int(object_mask(picture.labels, members).sum()) for members in picture.objects]
    largest = picture.objects[int(np.argmax(areas))]
    x0, y0, x1, y1 = bounding_box_xyxy(object_mask(picture.labels, largest))
    side = round(max(x1 - x0, y1 - y0) * zoom)
    frame = square_frame((x0 + x1) / 2, (y0 + y1) / 2, side, *picture.labels.shape)
    image, parts = cut(picture, frame)
    single = Picture(picture.image, picture.labels, (largest,), picture.source, picture.case)
    return finish(image, parts, single, frame)


def fill_bank(
    folder: Path, looks: Callable[[int], list[Look]], shards: Iterable[int], weights: Path, threads: int
) -> Iterator[int]:
    """Write those of the numbered shards that are missing, and yield each. looks(index) gives a shard's looks.

    Processes may fill a folder together, each with shards of its own.
    """
    discard_temporaries(made_folder(folder), _LEFT_OVER_AFTER_S)
    encode = build_encode(load_encoder(weights), batch=1, threads=threads)
    for index in shards:
        path = shard_path(folder, index)
        if not path.exists():
            discard_left_overs(path)
            write_shard(path, looks(index), encode)
            yield index


def training_looks(
    specs: list[SourceSpec], root: Path, synthetic_share: float, seed: int
) -> Callable[[int], list[Look]]:
    """A shard's looks by its number: the same whoever asks."""
    mixture, augmentation = build_mixture(specs, root, synthetic_share), Augmentation()

    def looks(index: int) -> list[Look]:
        rng = np.random.default_rng([seed, index])
        return [draw_look(mixture, rng, augmentation) for _ in range(SHARD_LENGTH)]

    return looks
