"""An endless supply of anatomy-like pictures: nested, deformed organs, tubes and textures under random contrasts.

Billot et al., "SynthSeg" (MedIA 2023) and Wong et al., "ScribblePrompt" (ECCV 2024) show that a network trained on
such pictures learns "the region that the prompt means" rather than the look of some organ.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .sources import MAX_PARTS, MIN_AREA, Picture

SIZE = 320  # side of a generated picture in pixels
SOURCE = "synthetic"


def make_picture(rng: np.random.Generator) -> Picture:
    """A (320, 320) picture; the same generator state gives the same picture."""
    while True:
        canvas = _Canvas(rng)
        body = canvas.add_body() if rng.random() < 0.55 else 0
        for _ in range(rng.integers(2, 14)):
            canvas.add_organ(inside=body)
        for _ in range(rng.integers(0, 3)):
            canvas.add_tube()
        if rng.random() < 0.25:
            canvas.add_cells()
        picture = canvas.picture()
        if picture is not None:
            return picture


class _Canvas:
    """Parts painted over each other, each with the parent that it lies in."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._parts = np.zeros((SIZE, SIZE), np.uint8)
        self._parents: dict[int, int] = {}
        ys, xs = np.mgrid[:SIZE, :SIZE].astype(np.float32)
        scale = rng.uniform(12, 45)
        strength = rng.uniform(0, 0.35) * scale
        # All shapes share one smooth deformation, so that neighbours bend together as tissue does.
        self._ys = ys + strength * smooth_noise(rng, scale)
        self._xs = xs + strength * smooth_noise(rng, scale)

    def add_body(self) -> int:
        rng = self._rng
        centre = SIZE / 2 + rng.uniform(-25, 25, 2)
        return self._paint(self._star(centre, rng.uniform(90, 150), rng.uniform(0.6, 1.0), 0.05), parent=0)

    def add_organ(self, inside: int) -> None:
        rng = self._rng
        centre = rng.uniform(0.08, 0.92, 2) * SIZE
        radius = np.exp(rng.uniform(np.log(6), np.log(75)))
        aspect, roughness = rng.uniform(0.35, 1.0), rng.choice([0.03, 0.12, 0.3])
        number = self._paint(self._star(centre, radius, aspect, roughness), parent=inside)
        if not number or radius < 14:
            return
        if rng.random() < 0.25:  # a wall: the organ less its cavity
            shape = ndimage.binary_erosion(self._parts == number, iterations=int(rng.integers(2, max(3, radius // 4))))
            self._paint(shape, parent=number)
        for _ in range(int(rng.choice([0, 0, 0, 1, 1, 2, 4]))):
            offset = rng.normal(0, 0.35, 2) * radius
            inner = self._star(centre + offset, radius * rng.uniform(0.12, 0.55), rng.uniform(0.5, 1.0), 0.15)
            self._paint(inner & (self._parts == number), parent=number)

    def add_tube(self) -> None:
        """A bent vessel or duct of slowly varying width."""
        rng = self._rng
        steps = 90
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.03, 0.16), steps))
        start = rng.uniform(0.1, 0.9, 2) * SIZE
        length = rng.uniform(0.6, 3.0)
        path = start + np.cumsum(np.stack([np.sin(angle), np.cos(angle)], axis=1) * length, axis=0)
        outline = np.ones((SIZE, SIZE), bool)
        inside = ((path >= 0) & (path < SIZE)).all(axis=1)
        if inside.sum() < 12:
            return
        rows, columns = path[inside].astype(int).T
        outline[rows, columns] = False
        width = rng.uniform(2.0, 13.0) * (1 + 0.3 * smooth_noise(rng, 30))
        self._paint(ndimage.distance_transform_edt(outline) < width, parent=0)

    def add_cells(self) -> None:
        """Many alike small objects, some touching."""
        rng = self._rng
        radius = rng.uniform(4, 14)
        for _ in range(rng.integers(10, 45)):
            centre = rng.uniform(0, SIZE, 2)
            self._paint(self._star(centre, radius * rng.uniform(0.7, 1.3), rng.uniform(0.6, 1.0), 0.06), parent=0)

    def picture(self) -> Picture | None:
        """Intensities for the parts; None where nothing of useful size is left."""
        areas = np.bincount(self._parts.ravel(), minlength=MAX_PARTS + 1)
        numbers = [n for n in self._parents if areas[n] >= MIN_AREA]
        objects = []
        for number in numbers:
            family = tuple(n for n in self._parents if n in numbers and self._descends(n, number))
            objects.append((number,))
            if len(family) > 1:
                objects.append(family)
        objects = [members for members in objects if self._is_whole(members)]
        if not objects:
            return None
        return Picture(self._render(), self._parts, tuple(objects), SOURCE, "")

    def _is_whole(self, members: tuple[int, ...]) -> bool:
        """Not most of the picture, and not scattered by what was painted over it."""
        mask = np.isin(self._parts, members)
        area = mask.sum()
        return area < 0.6 * SIZE * SIZE and np.bincount(ndimage.label(mask)[0].ravel())[1:].max() > 0.75 * area

    def _descends(self, number: int, ancestor: int) -> bool:
        while number:
            if number == ancestor:
                return True
            number = self._parents[number]
        return False

    def _star(self, centre: np.ndarray, radius: float, aspect: float, roughness: float) -> np.ndarray:
        """(SIZE, SIZE) bool: an ellipse whose radius swings with the angle."""
        rng = self._rng
        dy, dx = self._ys - centre[0], self._xs - centre[1]
        turn = rng.uniform(0, np.pi)
        u = (np.cos(turn) * dx + np.sin(turn) * dy) / radius
        v = (np.cos(turn) * dy - np.sin(turn) * dx) / (radius * aspect)
        angle = np.arctan2(v, u)
        swing = np.zeros_like(angle)
        for order in range(2, 7):
            swing += rng.normal(0, roughness / np.sqrt(order)) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
        return u * u + v * v < np.square(np.clip(1 + swing, 0.3, 2.0))

    def _paint(self, shape: np.ndarray, parent: int) -> int:
        number = len(self._parents) + 1
        if number > MAX_PARTS or shape.sum() < MIN_AREA:
            return 0
        self._parts[shape] = number
        self._parents[number] = parent
        return number

    def _render(self) -> np.ndarray:
        rng = self._rng
        count = len(self._parents) + 1
        means = rng.uniform(0, 1, count)
        means[0] = rng.choice([0.0, rng.uniform(0, 1)])
        for number, parent in self._parents.items():
            if rng.random() < 0.5:  # hard cases: close to what they lie in
                means[number] = means[parent] + rng.choice([-1, 1]) * rng.uniform(0.06, 0.25)
        coarse, fine = smooth_noise(rng, rng.uniform(6, 25)), smooth_noise(rng, rng.uniform(0.8, 3))
        amplitudes = rng.uniform(0, 0.16, (2, count)) * rng.uniform(0, 1)
        image = means[self._parts] + amplitudes[0][self._parts] * coarse + amplitudes[1][self._parts] * fine
        image = self._add_rims(image)
        image = ndimage.gaussian_filter(image, rng.uniform(0.4, 1.8))  # partial volume
        low, high = np.percentile(image, [0.2, 99.8])
        image = np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255
        if rng.random() < 0.15:
            return _colour(image, self._parts, rng)
        return image.astype(np.uint8)

    def _add_rims(self, image: np.ndarray) -> np.ndarray:
        """Some borders are brighter or darker than both sides: capsules, enhancement, membranes."""
        rng = self._rng
        if rng.random() < 0.65:
            return image
        edges = ndimage.morphological_gradient(self._parts, size=3) > 0
        rimmed = rng.random(len(self._parents) + 1) < 0.4
        return image + rng.uniform(-0.4, 0.4) * (edges & rimmed[self._parts])


def smooth_noise(rng: np.random.Generator, scale: float) -> np.ndarray:
    """(SIZE, SIZE) float32 noise of unit deviation, correlated over about `scale` pixels."""
    side = int(np.clip(np.ceil(SIZE / scale) + 3, 4, SIZE))
    coarse = rng.standard_normal((side, side)).astype(np.float32)
    noise = ndimage.zoom(coarse, SIZE / side, order=1 if scale < 3 else 3)[:SIZE, :SIZE]
    return noise / max(float(noise.std()), 1e-6)


def _colour(image: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE, 3): stains and surfaces have a colour of their own."""
    colours = rng.dirichlet((4, 4, 4), 256) * 3
    tint = ndimage.gaussian_filter(colours[parts], (1, 1, 0))
    return np.clip(image[..., None] * tint, 0, 255).astype(np.uint8)
