"""Small pictures, looks and banks for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from SAMUNetSlicerLib.learning.data.bank import shard_path, write_shard
from SAMUNetSlicerLib.learning.data.crops import Look
from SAMUNetSlicerLib.learning.data.sources import Picture


def disc(size: int, x: float, y: float, radius: float) -> np.ndarray:
    """(size, size) bool."""
    ys, xs = np.mgrid[:size, :size]
    return (xs - x) ** 2 + (ys - y) ** 2 <= radius**2


def two_discs(size: int = 100) -> Picture:
    """Two bright discs, numbered 1 and 2, on a dark ground."""
    labels = np.zeros((size, size), np.uint8)
    labels[disc(size, 30, 35, 12)] = 1
    labels[disc(size, 70, 60, 18)] = 2
    return Picture((labels > 0).astype(np.uint8) * 200 + 20, labels, ((1,), (2,)), "discs", "case")


def example_look(seed: int = 0) -> Look:
    """Two discs in random places of the network's input."""
    rng = np.random.default_rng(seed)
    parts = np.zeros((256, 256), np.uint8)
    parts[disc(256, *rng.uniform(60, 120, 2), 40)] = 1
    parts[disc(256, *rng.uniform(160, 200, 2), 30)] = 2
    image = np.repeat(((parts > 0) * 180 + rng.integers(0, 40, parts.shape)).astype(np.uint8)[None], 3, axis=0)
    return Look(image, parts, (256, 200), ((1,), (2,)), "discs", f"case{seed}")


def fake_encode(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Something of the encodings' shapes that depends on the image."""
    small = images.mean(axis=1, keepdims=True).reshape(len(images), 1, 64, 4, 64, 4).mean(axis=(3, 5))
    channels = np.linspace(-1, 1, 256, dtype=np.float32)[None, :, None, None]
    return (small * channels[:, :160]).astype(np.float32), (small * channels).astype(np.float32)


def write_bank(folder: Path, shards: int = 1, looks: int = 2) -> None:
    folder.mkdir(exist_ok=True)
    for index in range(shards):
        write_shard(shard_path(folder, index), [example_look(index * looks + i) for i in range(looks)], fake_encode)
