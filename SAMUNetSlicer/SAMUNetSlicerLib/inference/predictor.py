"""Masks for the prompts of a plane: prepare, encode once, keep the encoding, decode often."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch

from ..networks.base import Embedding, PromptedNetwork, PromptKind
from .devices import to_device
from .encoding.cache import EmbeddingCache
from .encoding.disk_cache import ModelEncodings
from .encoding.encoders import Encoder, TorchEncoder
from .jobs import CancelledError, Job, SteppedJob
from .looks import Look, PlaneImage, check_inside, groups_of_like_shape, points_only, to_network_prompts
from .memory_ladder import MemoryLadder
from .preprocessing import PROMPT_LOGIT, input_frame, prepare
from .prompt_rules import AdmittedPrompts, admit
from .prompts import PlanePrompts, bounding_box_xyxy
from .threads import torch_threads
from .zoom import Crop, ZoomPolicy

T = TypeVar("T")

_HALF_HANDICAP = 0.05
OUTSIDE_LOGIT = -32.0  # of pixels that the encoded crop does not show
_PROMPTS_AT_ONCE = 16  # the decoder's maps of one prompt take megabytes


@dataclass(frozen=True, eq=False)
class PlaneMask:
    """An answer: logits (H, W) float32 (> 0 inside), the network's own quality estimate and where it looked.

    quality: predicted IoU in [0, 1], or None for networks without a quality head. crop: None where none has looked.
    notes: what the user must be told, such as prompts left out.
    """

    logits: np.ndarray
    quality: float | None
    crop: Crop | None
    notes: tuple[str, ...] = ()

    @classmethod
    def certain(cls, mask_yx: np.ndarray, crop: Crop | None = None) -> PlaneMask:
        """A (H, W) mask that somebody has settled, as an answer to go on from."""
        return cls(np.where(mask_yx, PROMPT_LOGIT, -PROMPT_LOGIT).astype(np.float32), None, crop)

    @property
    def mask(self) -> np.ndarray:
        return self.logits > 0


@dataclass(frozen=True, eq=False)
class PlaneRequest:
    """One segment's prompts on one plane; crop: that of an earlier answer, kept while it still serves."""

    image: PlaneImage
    prompts: PlanePrompts
    crop: Crop | None = None


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
    same work, waited for. A shortage of memory costs speed before it costs the answer (see `memory_ladder`); all of
    them raise MemoryShortageError where nothing helps, UserError where a graphics card fails.

    encode_planes: what encodes batches of prepared planes (see `engines.build_encode`); torch by default.
    told: called with a sentence when a shortage of memory changes how the work is done.
    on_disk: encodings kept from one session to the next, for users who ask for it; None keeps none.
    """

    network: PromptedNetwork
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    zoom: ZoomPolicy = field(default_factory=ZoomPolicy)
    cache: EmbeddingCache = field(default_factory=EmbeddingCache)
    encode_planes: Encoder | None = None
    told: Callable[[str], None] = lambda _message: None
    on_disk: ModelEncodings | None = None
    counts: WorkCounts = field(default_factory=WorkCounts)

    def __post_init__(self) -> None:
        if self.encode_planes is None:
            self.encode_planes = TorchEncoder(self.network)
        self.planes_at_once = self.encode_planes.planes_at_once
        self.prompts_at_once = _PROMPTS_AT_ONCE
        self._ladder = MemoryLadder(self.told)
        self._ahead: dict[Hashable, Job] = {}
        self.network.eval()
        self.is_ready = False
        try:
            self.network.to(self.device)
        except RuntimeError as error:
            self._ladder.step_down(self, error)
            self._ladder.succeeded()
        self.is_ready = True

    def move_to(self, device: torch.device) -> None:
        """Compute on another device from now on; encodings on the former one are forgotten.

        Work under way, such as what was begun ahead, is not given up, since this may be called from within it: it is
        begun anew on the new device when it is resumed (see `_despite_shortage`).
        """
        self.device = device
        self.cache.clear()
        # A new one, since what is under way puts what it still finishes on the former device into the old one.
        self.cache = EmbeddingCache(self.cache.limit_bytes)
        self.network.to(device)

    @property
    def trained_prompts(self) -> PromptKind:
        return self.network.spec.trained_prompts

    def admitted(self, prompts: PlanePrompts) -> AdmittedPrompts:
        """What of the prompts the network is given, and what is to be said of the rest. Raises PromptError."""
        return admit(prompts, self.trained_prompts, self.network.spec.family)

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

    def encode(self, image: PlaneImage, crops: Sequence[Crop]) -> list[Embedding]:
        """Embeddings of some crops of a plane, from the cache where they are known."""
        return self.begin_encode([(image, crop) for crop in crops]).result()

    def begin_encode(self, wanted: Sequence[tuple[PlaneImage, Crop]], ahead: bool = False) -> Job[list[Embedding]]:
        """Encode crops of a few planes, to be polled. Each is kept in the cache as soon as it is done.

        A job that is cancelled leaves the cache with what was finished. ahead: see `Encoder.begin`.
        """
        return SteppedJob(self._despite_shortage(lambda: self._encode(wanted, ahead)))

    def encode_ahead(self, request: PlaneRequest) -> Crop:
        """Begin what `predict` of the same request will wait for, unless it is known or under way; returns its crop.

        OpenVINO and a graphics card work on it by themselves; torch on the processor while `poll_ahead` is called.
        Prompts whose crop only an answer will tell (points alone) are looked at as a whole plane.
        """
        look = self._first_look(request.image, request.prompts, request.crop)
        key = (look.image.key, look.crop)
        if key not in self._ahead:
            self.give_up_ahead([look.image])  # another guess of its crop
            if key not in self.cache:
                job = self.begin_encode([(look.image, look.crop)], ahead=True)
                if not job.poll():
                    self._ahead[key] = job
        return look.crop

    @property
    def count_ahead(self) -> int:
        """How many encodings begun ahead nobody has waited for yet."""
        return len(self._ahead)

    @property
    def has_room_beside(self) -> bool:
        """Whether one more encoding could be under way beside what was begun ahead."""
        return 0 < self.count_ahead < self.encode_planes.planes_ahead

    def poll_ahead(self) -> bool:
        """Go on for a short turn with what was begun first. True once that is over, and where nothing is begun."""
        for key, job in [*self._ahead.items()][:1]:
            if not job.poll():
                return False
            del self._ahead[key]
        return True

    def give_up_ahead(self, images: Iterable[PlaneImage]) -> None:
        """Give up what was begun ahead of some pictures: hosts that do not poll would keep it."""
        keys = {image.key for image in images}
        for key in [key for key in self._ahead if key[0] in keys]:
            self._ahead.pop(key).cancel()

    def cancel_ahead(self) -> None:
        """Give up all that was begun ahead, since something else is wanted now."""
        for job in self._ahead.values():
            job.cancel()
        self._ahead.clear()

    def is_encoded(self, image: PlaneImage, crop: Crop) -> bool:
        """Whether prompts in this crop cost a decode alone."""
        return (image.key, crop) in self.cache

    def _predict_one(self, request: PlaneRequest) -> Generator[Job | None, Any, PlaneMask]:
        (answer,) = yield from self._predict([request])
        return answer

    def _predict(self, requests: Sequence[PlaneRequest]) -> Generator[Job | None, Any, list[PlaneMask]]:
        admitted = [self.admitted(r.prompts) for r in requests]
        looks = [self._first_look(r.image, a.prompts, r.crop) for r, a in zip(requests, admitted, strict=True)]
        answers = yield from self._answered(looks)
        others = {i: self._other_looks(looks[i], answer) for i, answer in enumerate(answers) if looks[i].is_coarse}
        further = iter((yield from self._answered([look for own in others.values() for look in own])))
        for i, own in others.items():
            answers[i] = _best_of(answers[i], [(next(further), look.handicap) for look in own])
        return [replace(answer, notes=a.notes) for answer, a in zip(answers, admitted, strict=True)]

    def _first_look(self, image: PlaneImage, prompts: PlanePrompts, crop: Crop | None) -> Look:
        """Points do not tell the object's size: the whole plane is looked at first, then some crops of it."""
        check_inside(prompts, image.size_hw)
        if not points_only(prompts):
            return Look(image, prompts, self.zoom.choose(image.size_hw, prompts.extent_xyxy(), crop))
        if crop is not None and self.zoom.in_middle(crop, image.size_hw, prompts.extent_xyxy()):
            return Look(image, prompts, crop)
        height, width = image.size_hw
        return Look(image, prompts, Crop(0, 0, width, height), is_coarse=True)

    def _other_looks(self, look: Look, coarse: PlaneMask) -> list[Look]:
        """Closer to what the whole plane showed, and at half the plane around the prompts."""
        image, prompts = look.image, look.prompts
        half = self.zoom.half(image.size_hw, prompts.extent_xyxy())
        others = [] if half is None else [Look(image, prompts, half, handicap=_HALF_HANDICAP)]
        if coarse.mask.any():
            extent = _union(bounding_box_xyxy(coarse.mask), prompts.extent_xyxy())
            closer = self.zoom.choose(image.size_hw, extent)
            if closer not in (half, look.crop):
                others.append(Look(image, prompts, closer))
        return others

    def _despite_shortage(self, work: Callable[[], Generator[Job | None, Any, T]]) -> Generator[Job | None, Any, T]:
        """Work that is begun anew, a rung lower, after each shortage of memory, its own or that of other work."""
        while True:
            device = self.device
            try:
                result = yield from work()
            except (RuntimeError, MemoryError) as error:
                # Where other work has moved the network meanwhile, half of this lay on each device.
                if self.device == device:
                    self._ladder.step_down(self, error)
            else:
                if self.device == device:
                    self._ladder.succeeded()
                    return result

    def _answered(self, looks: Sequence[Look]) -> Generator[Job | None, Any, list[PlaneMask]]:
        return self._despite_shortage(lambda: self._answer(looks))

    def _answer(self, looks: Sequence[Look]) -> Generator[Job | None, Any, list[PlaneMask]]:
        for look in looks:
            with suppress(CancelledError):  # then it is encoded here
                yield self._ahead.pop((look.image.key, look.crop), None)
        self.give_up_ahead(look.image for look in looks)  # from other crops: wrong guesses
        embeddings = yield from self._encode([(look.image, look.crop) for look in looks])
        answers: list[PlaneMask | None] = [None] * len(looks)
        for group in groups_of_like_shape(looks, self.prompts_at_once):
            decoded = yield from self._beside(self._decode([looks[i] for i in group], [embeddings[i] for i in group]))
            for i, answer in zip(group, decoded, strict=True):
                answers[i] = answer
            yield
        return answers

    def _threads_beside(self) -> AbstractContextManager:
        """The threads that encodings ahead leave to what is done meanwhile."""
        return torch_threads(torch.get_num_threads() - self.count_ahead * self.encode_planes.threads_ahead)

    def _beside(self, steps: Generator[None, None, T]) -> Generator[None, None, T]:
        """Steps of torch's, each on the threads that are left then."""
        while True:
            # Torch's modes are global: they must not hold while this pauses.
            with self._threads_beside(), torch.inference_mode():
                try:
                    next(steps)
                except StopIteration as end:
                    return end.value
            yield

    def _decode(self, looks: Sequence[Look], embeddings: Sequence[Embedding]) -> Generator[None, None, list[PlaneMask]]:
        """Answers to prompts of like shape, in one call."""
        spec = self.network.spec
        frames = [input_frame(look.crop.size_hw, spec.preprocessing) for look in looks]
        distinct = list({id(e): e for e in embeddings}.values())
        place = {id(e): i for i, e in enumerate(distinct)}
        prompts = to_network_prompts(looks, frames, [place[id(e)] for e in embeddings], spec.mask_prompt_size)
        planes = distinct[0] if len(distinct) == 1 else Embedding.concatenate(distinct)
        if not (spec.takes_half and planes.is_bfloat16):
            planes = planes.to(torch.float32)
        decoded = yield from self.network.decode_steps(planes, prompts)
        yield
        self.counts.decodes += 1
        self.counts.answered += len(looks)
        answers = []
        for i, (look, frame) in enumerate(zip(looks, frames, strict=True)):
            logits = np.full(look.image.size_hw, OUTSIDE_LOGIT, dtype=np.float32)
            logits[look.crop.slices_yx] = frame.logits_to_picture(decoded.logits[i : i + 1])[0, 0].cpu().numpy()
            quality = None if decoded.quality is None else float(decoded.quality[i, 0].clamp(0, 1))
            answers.append(PlaneMask(logits, quality, look.crop))
        return answers

    def _encode(
        self, wanted: Sequence[tuple[PlaneImage, Crop]], ahead: bool = False
    ) -> Generator[Job | None, Any, list[Embedding]]:
        keys = [(image.key, crop) for image, crop in wanted]
        device, cache = self.device, self.cache  # both are others after `move_to`
        # Held here as well: the cache may give the first up before the last are done.
        found = {key: cache.get(key) for key in keys if key in cache}
        missing = {key: image.rgb[crop.slices_yx] for key, (image, crop) in zip(keys, wanted, strict=True)}
        for key in found:
            del missing[key]
        for key, rgb in [*missing.items()]:
            embedding = self._read(rgb, device)
            if embedding is not None:
                found[key] = embedding
                cache.put(key, embedding)
                del missing[key]
                yield
        while missing:
            batch = {key: missing.pop(key) for key in [*missing][: self.planes_at_once]}
            inputs = []
            for rgb in batch.values():
                with self._threads_beside():
                    inputs.append(prepare(rgb, self.network.spec.preprocessing)[0])
                yield
            encoded = yield self.encode_planes.begin(to_device(torch.stack(inputs), device), ahead)
            self.counts.encoded += len(batch)
            for (key, rgb), embedding in zip(batch.items(), encoded.separate(), strict=True):
                found[key] = embedding
                cache.put(key, embedding)
                self._write(rgb, embedding)
                yield
        return [found[key] for key in keys]

    def _read(self, rgb: np.ndarray, device: torch.device) -> Embedding | None:
        """A crop's encoding from the disk."""
        if self.on_disk is None:
            return None
        kept = self.on_disk.cache.get(self.on_disk.key(rgb, self.encode_planes.signature))
        return None if kept is None else kept.to(device)

    def _write(self, rgb: np.ndarray, embedding: Embedding) -> None:
        if self.on_disk is not None:
            self.on_disk.cache.put(self.on_disk.key(rgb, self.encode_planes.signature), embedding)


def _best_of(coarse: PlaneMask, others: Sequence[tuple[PlaneMask, float]]) -> PlaneMask:
    """The answer to points on a whole plane, or one from closer by; those come with handicaps.

    Of networks that judge their answers it is the one of the highest quality: on the development cases that was better
    than always looking closer. Of others, the last that found anything.
    """
    found = [(answer, handicap) for answer, handicap in others if answer.mask.any()]
    if not found:
        return coarse
    if coarse.quality is None:
        return found[-1][0]
    if coarse.mask.any():
        found.insert(0, (coarse, 0.0))
    return max(reversed(found), key=lambda entry: entry[0].quality - entry[1])[0]


def _union(a, b) -> tuple[float, float, float, float]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
