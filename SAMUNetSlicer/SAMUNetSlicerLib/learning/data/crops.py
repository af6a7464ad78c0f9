"""Square looks at a picture: what the network sees when the extension zooms on a prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from ...inference.prompts import bounding_box_xyxy
from .sources import Picture

SIZE = 256  # side of the network's input in pixels
_WHOLE_SHARE = 0.12  # of looks at the whole picture
_MARGINS = (1.25, 5.0)  # side of a look over the object's longer side
_MIN_SIDE = 20  # pixels of the picture
_MIN_VISIBLE = 40  # pixels of the network's input, for an object to be asked for
_SMOOTH_FROM = 1.4  # times larger
_SMOOTH_PARTS = 24
_MIN_SHARE = 0.3  # of an object's area inside the look


@dataclass(frozen=True)
class Look:
    """A part of a picture as the network sees it.

    image: (3, 256, 256) uint8, min-max normalised; what lies right of and below the visible (height, width) is 0.
    parts: (256, 256) uint8; objects: those worth asking for, as sets of parts.
    """

    image: np.ndarray
    parts: np.ndarray
    visible: tuple[int, int]
    objects: tuple[tuple[int, ...], ...]
    source: str
    case: str


@dataclass(frozen=True)
class Frame:
    """A rectangle of a picture in its pixels, half-open."""

    x0: int
    y0: int
    x1: int
    y1: int


def object_mask(parts: np.ndarray, members: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool."""
    return parts == members[0] if len(members) == 1 else np.isin(parts, members)


def random_frame(picture: Picture, rng: np.random.Generator) -> Frame:
    """A frame around a random object: side = its longer side x logU(1.25, 5) somewhere around it, or the whole."""
    height, width = picture.labels.shape
    if rng.random() < _WHOLE_SHARE:
        return Frame(0, 0, width, height)
    members = picture.objects[rng.integers(len(picture.objects))]
    x0, y0, x1, y1 = bounding_box_xyxy(object_mask(picture.labels, members))
    longer = max(x1 - x0, y1 - y0)
    side = max(_MIN_SIDE, round(longer * np.exp(rng.uniform(*np.log(_MARGINS)))))
    slack = (side - longer) / 2
    x = (x0 + x1) / 2 + rng.uniform(-0.9, 0.9) * slack
    y = (y0 + y1) / 2 + rng.uniform(-0.9, 0.9) * slack
    return square_frame(x, y, side, height, width)


def square_frame(x: float, y: float, side: int, height: int, width: int) -> Frame:
    """A square around (x, y), moved and then cut so that it lies within the picture."""
    x0 = int(np.clip(round(x - side / 2), 0, max(0, width - side)))
    y0 = int(np.clip(round(y - side / 2), 0, max(0, height - side)))
    return Frame(x0, y0, min(width, x0 + side), min(height, y0 + side))


def cut(picture: Picture, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """The frame at 256 px along its longer side: image (3, h, w) float32 in 0..255, parts (h, w) uint8."""
    rows, columns = slice(frame.y0, frame.y1), slice(frame.x0, frame.x1)
    image = picture.image[rows, columns]
    image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    height, width = image.shape[:2]
    scale = SIZE / max(height, width)
    size = _scaled(height, width, scale)
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    if scale < 1:
        tensor = F.interpolate(tensor, size, mode="area")
    else:
        tensor = F.interpolate(tensor, size, mode="bilinear", align_corners=False)
    return tensor[0].numpy(), _resize_parts(picture.labels[rows, columns], size, scale)


def _resize_parts(parts: np.ndarray, size: tuple[int, int], scale: float) -> np.ndarray:
    """Nearest where pixels merge; where they grow, borders run smoothly between pixel centres instead of in steps."""
    tensor = torch.from_numpy(np.ascontiguousarray(parts))[None, None]
    numbers = np.unique(parts)
    if scale < _SMOOTH_FROM or len(numbers) > _SMOOTH_PARTS:
        return F.interpolate(tensor, size, mode="nearest-exact")[0, 0].numpy()
    each = (tensor == torch.from_numpy(numbers)[None, :, None, None]).float()
    return numbers[F.interpolate(each, size, mode="bilinear", align_corners=False)[0].argmax(dim=0).numpy()]


def whole_parts(picture: Picture) -> tuple[np.ndarray, tuple[tuple[int, ...], ...]]:
    """The parts of the whole picture at 256 px along its longer side, padded: (256, 256) uint8; and the objects of
    which all parts are left there.
    """
    height, width = picture.labels.shape
    scale = SIZE / max(height, width)
    parts = _resize_parts(picture.labels, _scaled(height, width, scale), scale)
    padded = np.zeros((SIZE, SIZE), np.uint8)
    padded[: parts.shape[0], : parts.shape[1]] = parts
    present = set(np.unique(padded).tolist())
    return padded, tuple(members for members in picture.objects if present.issuperset(members))


def _scaled(height: int, width: int, scale: float) -> tuple[int, int]:
    return max(1, round(height * scale)), max(1, round(width * scale))


def finish(image: np.ndarray, parts: np.ndarray, picture: Picture, frame: Frame) -> Look | None:
    """Normalise and pad what was cut; None where no object is visible enough to be asked for."""
    height, width = parts.shape
    low, high = float(image.min()), float(image.max())
    padded = np.zeros((3, SIZE, SIZE), np.uint8)
    padded[:, :height, :width] = np.round((image - low) / max(high - low, 1e-6) * 255)
    padded_parts = np.zeros((SIZE, SIZE), np.uint8)
    padded_parts[:height, :width] = parts
    areas = np.bincount(padded_parts.ravel(), minlength=256)
    inside = np.bincount(picture.labels[frame.y0 : frame.y1, frame.x0 : frame.x1].ravel(), minlength=256)
    whole = np.bincount(picture.labels.ravel(), minlength=256)
    objects = []
    for members in map(list, picture.objects):
        if areas[members].sum() >= _MIN_VISIBLE and inside[members].sum() >= _MIN_SHARE * whole[members].sum():
            objects.append(tuple(members))
    if not objects:
        return None
    return Look(padded, padded_parts, (height, width), tuple(objects), picture.source, picture.case)


def turned(picture: Picture, rng: np.random.Generator) -> Picture:
    """Flipped, turned by quarters and sometimes by a small angle, sometimes stretched along one axis."""
    image, labels = picture.image, picture.labels
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    quarters = int(rng.integers(4))
    image, labels = np.rot90(image, quarters), np.rot90(labels, quarters)
    if rng.random() < 0.3:
        angle = rng.uniform(-25, 25)
        image = ndimage.rotate(image, angle, axes=(1, 0), reshape=False, order=1)
        labels = ndimage.rotate(labels, angle, axes=(1, 0), reshape=False, order=0)
    if rng.random() < 0.2:
        zoom = (rng.uniform(0.7, 1.0), 1.0) if rng.random() < 0.5 else (1.0, rng.uniform(0.7, 1.0))
        image = ndimage.zoom(image, zoom + (1,) * (image.ndim - 2), order=1)
        labels = ndimage.zoom(labels, zoom, order=0)
    present = set(np.unique(labels).tolist())
    objects = tuple(members for members in picture.objects if present.issuperset(members))
    # Copies, since torch takes no negative strides, which numpy calls contiguous where there is one row.
    return Picture(image.copy(), labels.copy(), objects, picture.source, picture.case)
