"""Masks for the prompts of a plane: prepare, encode once, keep the encoding, decode often."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..errors import PromptError
from ..networks.base import Embedding, NetworkPrompts, PromptedNetwork, PromptKind
from .cache import EmbeddingCache
from .engines import Encode
from .preprocessing import InputFrame, input_frame, prepare
from .prompt_rules import admit
from .prompts import PlanePrompts, bounding_box_xyxy
from .zoom import Crop, ZoomPolicy

OUTSIDE_LOGIT = -32.0  # of pixels that the encoded crop does not show


@dataclass(frozen=True, eq=False)
class PlaneImage:
    """An 8-bit RGB plane (H, W, 3) and a key that names its content (volume, plane, window)."""

    rgb: np.ndarray
    key: Hashable

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.rgb.shape[:2]


@dataclass(frozen=True, eq=False)
class PlaneMask:
    """An answer: logits (H, W) float32 (> 0 inside), the network's own quality estimate and where it looked.

    quality: predicted IoU in [0, 1], or None for networks without a quality head.
    notes: what the user must be told, such as prompts left out.
    """

    logits: np.ndarray
    quality: float | None
    crop: Crop
    notes: tuple[str, ...] = ()

    @property
    def mask(self) -> np.ndarray:
        return self.logits > 0


@dataclass
class PlanePredictor:
    """Answers prompts with one network on one device.

    encode_planes: what encodes batches of prepared planes (see `engines.build_encode`); the network itself by default.
    """

    network: PromptedNetwork
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    zoom: ZoomPolicy = field(default_factory=ZoomPolicy)
    cache: EmbeddingCache = field(default_factory=EmbeddingCache)
    encode_planes: Encode | None = None

    def __post_init__(self) -> None:
        self.network.to(self.device).eval()
        if self.encode_planes is None:
            self.encode_planes = self.network.encode

    @property
    def trained_prompts(self) -> PromptKind:
        return self.network.spec.trained_prompts

    def predict(self, image: PlaneImage, prompts: PlanePrompts, crop: Crop | None = None) -> PlaneMask:
        """The mask for one segment's prompts.

        crop: the crop of an earlier answer, kept while it still serves. Raises PromptError for unusable prompts.
        """
        admitted = admit(prompts, self.trained_prompts, self.network.spec.family)
        check_inside(admitted.prompts, image.size_hw)
        if _points_only(admitted.prompts):
            answer = self._predict_from_points(image, admitted.prompts, crop)
        else:
            chosen = self.zoom.choose(image.size_hw, admitted.prompts.extent_xyxy(), crop)
            answer = self.predict_in_crop(image, [admitted.prompts], chosen)[0]
        return replace(answer, notes=admitted.notes + answer.notes)

    def _predict_from_points(self, image: PlaneImage, prompts: PlanePrompts, crop: Crop | None) -> PlaneMask:
        """Points do not tell the object's size: a coarse answer on the whole plane finds it, a crop refines it."""
        if crop is not None and self.zoom.in_middle(crop, image.size_hw, prompts.extent_xyxy()):
            return self.predict_in_crop(image, [prompts], crop)[0]
        height, width = image.size_hw
        coarse = self.predict_in_crop(image, [prompts], Crop(0, 0, width, height))[0]
        if not coarse.mask.any():
            return coarse
        extent = _union(bounding_box_xyxy(coarse.mask), prompts.extent_xyxy())
        fine_crop = self.zoom.choose(image.size_hw, extent)
        if fine_crop == coarse.crop:
            return coarse
        fine = self.predict_in_crop(image, [prompts], fine_crop)[0]
        return fine if fine.mask.any() else coarse

    def predict_in_crop(self, image: PlaneImage, prompts: Sequence[PlanePrompts], crop: Crop) -> list[PlaneMask]:
        """Answer several prompts of one plane from one encoded crop, in one decode per kind of prompt set."""
        embedding = self.encode(image, [crop])[0]
        frame = input_frame(crop.size_hw, self.network.spec.preprocessing)
        answers: list[PlaneMask | None] = [None] * len(prompts)
        for group in _groups_of_like_shape(prompts):
            batch = to_network_prompts([prompts[i] for i in group], frame, crop, self.network.spec.mask_prompt_size)
            with torch.inference_mode():
                decoded = self.network.decode(embedding, batch)
                pictures = frame.logits_to_picture(decoded.logits)[:, 0].cpu().numpy()
            for position, i in enumerate(group):
                logits = np.full(image.size_hw, OUTSIDE_LOGIT, dtype=np.float32)
                logits[crop.slices_yx] = pictures[position]
                quality = None if decoded.quality is None else float(decoded.quality[position, 0].clamp(0, 1))
                answers[i] = PlaneMask(logits, quality, crop)
        return answers

    def encode(self, image: PlaneImage, crops: Sequence[Crop]) -> list[Embedding]:
        """Embeddings of some crops of a plane, from the cache where they are known; the rest in one batch."""
        keys = [(image.key, crop) for crop in crops]
        missing = [k for k in dict.fromkeys(keys) if k not in self.cache]
        if missing:
            inputs = [prepare(image.rgb[crop.slices_yx], self.network.spec.preprocessing)[0] for _, crop in missing]
            with torch.inference_mode():
                encoded = self.encode_planes(torch.stack(inputs).to(self.device))
            fresh = {key: encoded.select(slice(i, i + 1)) for i, key in enumerate(missing)}
            for key, embedding in fresh.items():
                self.cache.put(key, embedding)
        else:
            fresh = {}
        return [fresh[k] if k in fresh else self.cache.get(k) for k in keys]


def check_inside(prompts: PlanePrompts, size_hw: tuple[int, int]) -> None:
    """Raise PromptError where a prompt lies outside the plane."""
    height, width = size_hw
    for x, y in prompts.points_xy:
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise PromptError("A point lies outside the image. Move it onto the object.")
    if prompts.box_xyxy is not None:
        x0, y0, x1, y1 = prompts.box_xyxy
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            raise PromptError("The box lies outside the image. Draw it around the object.")
    if prompts.mask is not None and prompts.mask.shape != tuple(size_hw):
        raise ValueError(f"a mask prompt must have the plane's size {size_hw}, got {prompts.mask.shape}")


def to_network_prompts(
    prompts: Sequence[PlanePrompts], frame: InputFrame, crop: Crop, mask_prompt_size: int
) -> NetworkPrompts:
    """Prompts that all have the same kinds and number of points, as one batch in network coordinates."""
    offset = np.array([crop.x0, crop.y0], dtype=np.float32)
    first = prompts[0]
    points = labels = boxes = masks = None
    if first.points_xy:
        xy = np.array([p.points_xy for p in prompts], dtype=np.float32) - offset
        points = torch.from_numpy(frame.to_input(xy))
        labels = torch.tensor([[sign.value for sign in p.signs] for p in prompts], dtype=torch.float32)
    if first.box_xyxy is not None:
        corners = np.array([p.box_xyxy for p in prompts], dtype=np.float32).reshape(-1, 2, 2) - offset
        boxes = torch.from_numpy(frame.to_input(corners).reshape(-1, 4))
    if first.mask is not None:
        cut = [frame.mask_to_prompt(p.mask[crop.slices_yx], mask_prompt_size) for p in prompts]
        masks = torch.cat(cut)
    return NetworkPrompts(points, labels, boxes, masks)


def _groups_of_like_shape(prompts: Sequence[PlanePrompts]) -> list[list[int]]:
    groups: dict[tuple, list[int]] = {}
    for i, p in enumerate(prompts):
        groups.setdefault((len(p.points_xy), p.box_xyxy is None, p.mask is None), []).append(i)
    return list(groups.values())


def _points_only(prompts: PlanePrompts) -> bool:
    return prompts.box_xyxy is None and prompts.mask is None


def _union(a, b) -> tuple[float, float, float, float]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
