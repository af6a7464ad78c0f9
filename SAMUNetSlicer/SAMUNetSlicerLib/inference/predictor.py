"""Masks for the prompts of a plane: prepare, encode once, keep the encoding, decode often."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ..errors import PromptError
from ..networks.base import Embedding, NetworkPrompts, PromptedNetwork, PromptKind
from .cache import EmbeddingCache
from .devices import to_device
from .engines import Encode, TorchEncoder, begin_encoding
from .jobs import Job, SteppedJob
from .preprocessing import InputFrame, input_frame, prepare
from .prompt_rules import admit
from .prompts import PlanePrompts, bounding_box_xyxy
from .zoom import Crop, ZoomPolicy

OUTSIDE_LOGIT = -32.0  # of pixels that the encoded crop does not show
_PROMPTS_AT_ONCE = 16  # the decoder's maps of one prompt take megabytes


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


@dataclass(frozen=True, eq=False)
class PlaneRequest:
    """One segment's prompts on one plane; crop: that of an earlier answer, kept while it still serves."""

    image: PlaneImage
    prompts: PlanePrompts
    crop: Crop | None = None


@dataclass(frozen=True, eq=False)
class _Look:
    """Prompts to be answered from one crop. is_coarse: to find out where to look closer."""

    image: PlaneImage
    prompts: PlanePrompts
    crop: Crop
    is_coarse: bool = False


@dataclass
class WorkCounts:
    """What was computed so far: planes (or crops of them) encoded, prompts answered, calls of the decoder."""

    encoded: int = 0
    answered: int = 0
    decodes: int = 0


@dataclass
class PlanePredictor:
    """Answers prompts with one network on one device.

    `begin_predict` and `begin_encode` return jobs for hosts that must not stand still; `predict` and `encode` are the
    same work, waited for. encode_planes: what encodes batches of prepared planes (see `engines.build_encode`); torch
    by default.
    """

    network: PromptedNetwork
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    zoom: ZoomPolicy = field(default_factory=ZoomPolicy)
    cache: EmbeddingCache = field(default_factory=EmbeddingCache)
    encode_planes: Encode | None = None
    counts: WorkCounts = field(default_factory=WorkCounts)

    def __post_init__(self) -> None:
        self.network.to(self.device).eval()
        if self.encode_planes is None:
            self.encode_planes = TorchEncoder(self.network)

    @property
    def trained_prompts(self) -> PromptKind:
        return self.network.spec.trained_prompts

    def predict(self, image: PlaneImage, prompts: PlanePrompts, crop: Crop | None = None) -> PlaneMask:
        """The mask for one segment's prompts.

        crop: the crop of an earlier answer, kept while it still serves. Raises PromptError for unusable prompts.
        """
        return self.begin_predict(image, prompts, crop).result()

    def begin_predict(self, image: PlaneImage, prompts: PlanePrompts, crop: Crop | None = None) -> Job[PlaneMask]:
        """As `predict`, to be polled. What it encodes stays in the cache, so that asking again only decodes."""
        return SteppedJob(self._predict_one(PlaneRequest(image, prompts, crop)))

    def predict_many(self, requests: Sequence[PlaneRequest]) -> list[PlaneMask]:
        """As `predict` for each, with as few calls of encoder and decoder as possible."""
        return self.begin_predict_many(requests).result()

    def begin_predict_many(self, requests: Sequence[PlaneRequest]) -> Job[list[PlaneMask]]:
        """As `predict_many`, to be polled."""
        return SteppedJob(self._predict(requests))

    def predict_in_crop(self, image: PlaneImage, prompts: Sequence[PlanePrompts], crop: Crop) -> list[PlaneMask]:
        """Answer several prompts of one plane from one encoded crop, in one decode per kind of prompt set."""
        return SteppedJob(self._answer([_Look(image, p, crop) for p in prompts])).result()

    def encode(self, image: PlaneImage, crops: Sequence[Crop]) -> list[Embedding]:
        """Embeddings of some crops of a plane, from the cache where they are known."""
        return self.begin_encode([(image, crop) for crop in crops]).result()

    def begin_encode(self, wanted: Sequence[tuple[PlaneImage, Crop]]) -> Job[list[Embedding]]:
        """Encode crops of a few planes, to be polled. Each is kept in the cache as soon as it is done.

        A job that is cancelled leaves the cache with what was finished.
        """
        return SteppedJob(self._encode(wanted))

    def is_encoded(self, image: PlaneImage, crop: Crop) -> bool:
        """Whether prompts in this crop cost a decode alone."""
        return (image.key, crop) in self.cache

    def _predict_one(self, request: PlaneRequest) -> Generator[Job | None, Any, PlaneMask]:
        (answer,) = yield from self._predict([request])
        return answer

    def _predict(self, requests: Sequence[PlaneRequest]) -> Generator[Job | None, Any, list[PlaneMask]]:
        admitted = [admit(r.prompts, self.trained_prompts, self.network.spec.family) for r in requests]
        looks = [self._first_look(r.image, a.prompts, r.crop) for r, a in zip(requests, admitted, strict=True)]
        answers = yield from self._answer(looks)
        closer = {i: self._closer_look(looks[i], answer) for i, answer in enumerate(answers) if looks[i].is_coarse}
        closer = {i: look for i, look in closer.items() if look is not None}
        for i, answer in zip(closer, (yield from self._answer([*closer.values()])), strict=True):
            if answer.mask.any():
                answers[i] = answer
        return [replace(answer, notes=a.notes) for answer, a in zip(answers, admitted, strict=True)]

    def _first_look(self, image: PlaneImage, prompts: PlanePrompts, crop: Crop | None) -> _Look:
        """Points do not tell the object's size: a coarse answer on the whole plane finds it, a crop refines it."""
        check_inside(prompts, image.size_hw)
        if not _points_only(prompts):
            return _Look(image, prompts, self.zoom.choose(image.size_hw, prompts.extent_xyxy(), crop))
        if crop is not None and self.zoom.in_middle(crop, image.size_hw, prompts.extent_xyxy()):
            return _Look(image, prompts, crop)
        height, width = image.size_hw
        return _Look(image, prompts, Crop(0, 0, width, height), is_coarse=True)

    def _closer_look(self, look: _Look, coarse: PlaneMask) -> _Look | None:
        """None where the whole plane shows it best, or nothing was found."""
        if not coarse.mask.any():
            return None
        extent = _union(bounding_box_xyxy(coarse.mask), look.prompts.extent_xyxy())
        crop = self.zoom.choose(look.image.size_hw, extent)
        return None if crop == look.crop else _Look(look.image, look.prompts, crop)

    def _answer(self, looks: Sequence[_Look]) -> Generator[Job | None, Any, list[PlaneMask]]:
        embeddings = yield from self._encode([(look.image, look.crop) for look in looks])
        answers: list[PlaneMask | None] = [None] * len(looks)
        for group in _groups_of_like_shape(looks):
            for i, answer in zip(
                group, self._decode([looks[i] for i in group], [embeddings[i] for i in group]), strict=True
            ):
                answers[i] = answer
            yield
        return answers

    @torch.inference_mode()
    def _decode(self, looks: Sequence[_Look], embeddings: Sequence[Embedding]) -> list[PlaneMask]:
        """Answers to prompts of like shape, in one call."""
        spec = self.network.spec
        frames = [input_frame(look.crop.size_hw, spec.preprocessing) for look in looks]
        distinct = list({id(e): e for e in embeddings}.values())
        place = {id(e): i for i, e in enumerate(distinct)}
        prompts = to_network_prompts(looks, frames, [place[id(e)] for e in embeddings], spec.mask_prompt_size)
        planes = distinct[0] if len(distinct) == 1 else Embedding.concatenate(distinct)
        decoded = self.network.decode(planes, prompts)
        self.counts.decodes += 1
        self.counts.answered += len(looks)
        answers = []
        for i, (look, frame) in enumerate(zip(looks, frames, strict=True)):
            logits = np.full(look.image.size_hw, OUTSIDE_LOGIT, dtype=np.float32)
            logits[look.crop.slices_yx] = frame.logits_to_picture(decoded.logits[i : i + 1])[0, 0].cpu().numpy()
            quality = None if decoded.quality is None else float(decoded.quality[i, 0].clamp(0, 1))
            answers.append(PlaneMask(logits, quality, look.crop))
        return answers

    def _encode(self, wanted: Sequence[tuple[PlaneImage, Crop]]) -> Generator[Job | None, Any, list[Embedding]]:
        keys = [(image.key, crop) for image, crop in wanted]
        # Held here as well: the cache may give the first up before the last are done.
        found = {key: self.cache.get(key) for key in keys if key in self.cache}
        missing = {key: place for key, place in zip(keys, wanted, strict=True) if key not in found}
        while missing:
            batch = [*missing][: getattr(self.encode_planes, "planes_at_once", 1)]
            inputs = []
            for image, crop in (missing.pop(key) for key in batch):
                inputs.append(prepare(image.rgb[crop.slices_yx], self.network.spec.preprocessing)[0])
                yield
            encoded = yield begin_encoding(self.encode_planes, to_device(torch.stack(inputs), self.device))
            self.counts.encoded += len(batch)
            for key, embedding in zip(batch, encoded.separate(), strict=True):
                self.cache.put(key, embedding)
                found[key] = embedding
        return [found[key] for key in keys]


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
    looks: Sequence[_Look], frames: Sequence[InputFrame], planes: Sequence[int], mask_prompt_size: int
) -> NetworkPrompts:
    """Prompts that all have the same kinds and number of points, as one batch in network coordinates.

    frames: how each look's crop lies in the network's input; planes: the number of each look's encoded plane.
    """
    first = looks[0].prompts
    points = labels = boxes = masks = None
    if first.points_xy:
        points = _on_input(looks, frames, [look.prompts.points_xy for look in looks])
        labels = torch.tensor([[sign.value for sign in look.prompts.signs] for look in looks], dtype=torch.float32)
    if first.box_xyxy is not None:
        corners = [np.reshape(look.prompts.box_xyxy, (2, 2)) for look in looks]
        boxes = _on_input(looks, frames, corners).flatten(1)
    if first.mask is not None:
        cut = [look.prompts.mask[look.crop.slices_yx] for look in looks]
        masks = torch.cat([f.mask_to_prompt(mask, mask_prompt_size) for f, mask in zip(frames, cut, strict=True)])
    return NetworkPrompts(points, labels, boxes, masks, torch.tensor(planes))


def _on_input(looks: Sequence[_Look], frames: Sequence[InputFrame], xy: Sequence[Any]) -> torch.Tensor:
    """(B, n, 2) coordinates on the looks' planes to the network's."""
    moved = [np.asarray(p, dtype=np.float32) - (look.crop.x0, look.crop.y0) for look, p in zip(looks, xy, strict=True)]
    return torch.from_numpy(np.stack([frame.to_input(p) for frame, p in zip(frames, moved, strict=True)]))


def _groups_of_like_shape(looks: Sequence[_Look]) -> list[list[int]]:
    """Numbers of the looks that one call of the decoder can answer."""
    groups: dict[tuple, list[int]] = {}
    for i, look in enumerate(looks):
        p = look.prompts
        groups.setdefault((len(p.points_xy), p.box_xyxy is None, p.mask is None), []).append(i)
    return [
        group[i : i + _PROMPTS_AT_ONCE] for group in groups.values() for i in range(0, len(group), _PROMPTS_AT_ONCE)
    ]


def _points_only(prompts: PlanePrompts) -> bool:
    return prompts.box_xyxy is None and prompts.mask is None


def _union(a, b) -> tuple[float, float, float, float]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
