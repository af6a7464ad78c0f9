"""What encodes planes: the interface, and torch.

Encoding is nearly all of the time that a new plane takes, so it can be begun as a `Job` and a window stays alive
meanwhile: the graphics card computes by itself, torch on the processor pauses between the parts of the network.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Generator
from enum import Enum
from functools import lru_cache

import torch
from torch import Tensor

from ...networks.base import Embedding, PromptedNetwork
from ..devices import computes_in_bfloat16
from ..jobs import CancelledError, Job, SteppedJob


class Precision(Enum):
    """AUTO is half (bfloat16) where the hardware computes with it by itself, full elsewhere."""

    AUTO = "auto"
    FULL = "full"
    HALF = "half"


COMPACT = ", kept in float16"  # what a signature says of it


def compact(embedding: Embedding) -> Embedding:
    """In float16 what is float32, and whose values it can hold: half the room, rounded by 1 in 2,000."""
    if any(t.dtype is not torch.float32 for t in embedding.features.values()):
        return embedding
    halves = embedding.to(torch.float16)
    fits = all(t.isfinite().all() for t in halves.features.values())
    return halves if fits else embedding


class Encoder(ABC):
    """Encodes (N, 3, S, S) prepared planes that lie on the predictor's device.

    planes_at_once: how many planes one call takes best. planes_ahead: how many encodings begun ahead keep it busy.
    threads_ahead: how many of the processor's threads each of them takes meanwhile. signature: differs where the
    answers do, weights apart. Embeddings are bfloat16 where they were computed in half precision, since they take half
    the room so; others may be kept compact (see `compact`).
    """

    planes_at_once = 1
    planes_ahead = 1
    threads_ahead = 0
    signature = ""

    def prepare(self) -> None:  # noqa: B027 (most have nothing to prepare)
        """Do what is done once and takes seconds, rather than with the first plane."""

    def prepare_ahead(self) -> None:  # noqa: B027
        """Likewise for what only encodings ahead need."""

    @abstractmethod
    def begin(self, images: Tensor, ahead: bool = False) -> Job[Embedding]:
        """Begin to encode; ahead: nobody waits yet, so that many planes a second matter more than one soon."""

    def __call__(self, images: Tensor) -> Embedding:
        """Encode, waiting for it."""
        return self.begin(images).result()


class TorchEncoder(Encoder):
    """Encodes with torch, on whatever device the planes lie."""

    def __init__(
        self, network: PromptedNetwork, precision: Precision = Precision.FULL, keeps_compact: bool = False
    ) -> None:
        """keeps_compact: not for graphics cards, which would have to be waited for."""
        self._network = network
        self.precision = precision
        self.keeps_compact = keeps_compact

    @property
    def signature(self) -> str:
        return f"torch {self.precision.value}" + COMPACT * self.keeps_compact

    def begin(self, images: Tensor, ahead: bool = False) -> Job[Embedding]:
        if images.device.type == "cuda":
            with self._mode(images.device):
                return _CudaJob(self._network, images, self._kept_type)
        return SteppedJob(self._steps(images))

    def _steps(self, images: Tensor) -> Generator[None, None, Embedding]:
        steps = self._network.encode_steps(images)
        while True:
            # Torch's modes are global: they must not hold while this pauses.
            with torch.inference_mode(), self._mode(images.device):
                try:
                    next(steps)
                except StopIteration as end:
                    embedding = end.value.to(self._kept_type)
                    return compact(embedding) if self.keeps_compact else embedding
            yield

    @property
    def _kept_type(self) -> torch.dtype:
        return torch.bfloat16 if self.precision is Precision.HALF else torch.float32

    def _mode(self, device: torch.device) -> contextlib.AbstractContextManager:
        if self.precision is not Precision.HALF:
            return contextlib.nullcontext()
        has_bfloat16 = device.type == "cpu" or computes_in_bfloat16(device)
        return torch.autocast(device.type, torch.bfloat16 if has_bfloat16 else torch.float16)


class _CudaJob(Job[Embedding]):
    """Encodes beside the decodes of planes that are encoded already."""

    def __init__(self, network: PromptedNetwork, images: Tensor, kept_type: torch.dtype) -> None:
        stream = _encoding_stream(images.device)
        stream.wait_stream(torch.cuda.current_stream(images.device))
        with torch.cuda.stream(stream), torch.inference_mode():
            images.record_stream(stream)
            self._embedding: Embedding | None = network.encode(images).to(kept_type)
        self._done = stream.record_event()

    def poll(self) -> bool:
        with contextlib.suppress(RuntimeError):  # what went wrong on the card is raised by `result`
            return self._embedding is None or self._done.query()
        return True

    def result(self) -> Embedding:
        if self._embedding is None:
            raise CancelledError
        self._done.synchronize()
        for tensor in self._embedding.features.values():
            tensor.record_stream(torch.cuda.current_stream(tensor.device))
        return self._embedding

    def cancel(self) -> None:
        """Forget it: what was given to the card runs to its end there."""
        if not self.poll():
            self._embedding = None


@lru_cache
def _encoding_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all encodings on a card: torch keeps the memory that a stream gave back for that stream alone."""
    return torch.cuda.Stream(device)
