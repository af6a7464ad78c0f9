"""What runs a network's encoder: torch, or OpenVINO where it is installed and the processor does the work.

Encoding is nearly all of the time that a new plane takes. On processors with bfloat16 matrix units OpenVINO takes a
fraction of torch's time; its answers differ from torch's by that precision (see docs/speed.md for both).

Every encoder begins its work as a `Job`, so that a window stays alive meanwhile: OpenVINO computes on its own threads
and the graphics card by itself, torch on the processor pauses between the parts of the network.
"""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from enum import Enum
from pathlib import Path

import platformdirs
import torch
from torch import Tensor, nn

from ..errors import UserError
from ..networks.base import Embedding, PromptedNetwork
from ..project import NAME
from .jobs import CancelledError, Done, Job, SteppedJob


class EngineChoice(Enum):
    """AUTO takes OpenVINO where it is installed and the device is the processor."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


class Encoder(ABC):
    """Encodes (N, 3, S, S) prepared planes that lie on the predictor's device.

    planes_at_once: how many planes one call takes best.
    """

    planes_at_once = 1

    def prepare(self) -> None:  # noqa: B027 (most have nothing to prepare)
        """Do what is done once and takes seconds, rather than with the first plane."""

    @abstractmethod
    def begin(self, images: Tensor) -> Job[Embedding]:
        """Begin to encode."""

    def __call__(self, images: Tensor) -> Embedding:
        """Encode, waiting for it."""
        return self.begin(images).result()


# An encoder, or any function that does its work at once.
Encode = Callable[[Tensor], Embedding]


def begin_encoding(encode: Encode, images: Tensor) -> Job[Embedding]:
    """Begin `encode(images)`; what is not an `Encoder` is done at once."""
    return encode.begin(images) if isinstance(encode, Encoder) else Done(encode(images))


def build_encode(
    network: PromptedNetwork,
    device: torch.device,
    choice: EngineChoice = EngineChoice.AUTO,
    kept_as: Path | None = None,
) -> Encoder:
    """What encodes batches of planes with `network`, whose parameters lie on `device`.

    kept_as: folder in which the converted network is kept for the next start (weights only, no image data); its name
    must tell the weights apart, for example by their hash. Raises UserError where OpenVINO is asked for but not
    installed, or with another device than the processor.
    """
    usable = device.type == "cpu" and importlib.util.find_spec("openvino") is not None
    if choice is EngineChoice.OPENVINO and not usable:
        raise UserError("OpenVINO needs the device 'cpu' and the Python package 'openvino'. Install it, or use torch.")
    if usable and choice is not EngineChoice.TORCH:
        return OpenVinoEncoder(network, kept_as)
    return TorchEncoder(network)


def kept_conversions_folder() -> Path:
    """Where converted networks are kept: the platform's folder for caches."""
    return platformdirs.user_cache_path(NAME, appauthor=False) / "openvino"


class TorchEncoder(Encoder):
    """Encodes with torch, on whatever device the planes lie."""

    def __init__(self, network: PromptedNetwork) -> None:
        self._network = network

    def begin(self, images: Tensor) -> Job[Embedding]:
        if images.device.type == "cuda":
            return _CudaJob(self._network, images)
        return SteppedJob(self._steps(images))

    @torch.inference_mode()  # of a generator: only while it runs, not while it pauses
    def _steps(self, images: Tensor) -> Generator[None, None, Embedding]:
        return (yield from self._network.encode_steps(images))


class _CudaJob(Job[Embedding]):
    """Encodes on a stream of its own, beside the decodes of planes that are encoded already."""

    def __init__(self, network: PromptedNetwork, images: Tensor) -> None:
        self._stream = torch.cuda.Stream(images.device)
        self._stream.wait_stream(torch.cuda.current_stream(images.device))
        with torch.cuda.stream(self._stream), torch.inference_mode():
            images.record_stream(self._stream)
            self._embedding: Embedding | None = network.encode(images)
        self._done = self._stream.record_event()

    def poll(self) -> bool:
        return self._embedding is None or self._done.query()

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


class _FeatureTuple(nn.Module):
    """A network's `encode` as a module with tensors in and out, which is what can be converted."""

    def __init__(self, network: PromptedNetwork, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode(images).features
        return tuple(features[name] for name in self.names)


class OpenVinoEncoder(Encoder):
    """Encodes on the processor in bfloat16 where it has instructions for it, in float32 elsewhere.

    Converting takes seconds, so it waits for `prepare` or the first plane.
    """

    planes_at_once = 4

    def __init__(self, network: PromptedNetwork, kept_as: Path | None = None) -> None:
        self._network = network
        self._kept_as = kept_as
        self._compiled = None

    def prepare(self) -> None:
        if self._compiled is None:
            self._compiled = self._compile()

    def begin(self, images: Tensor) -> Job[Embedding]:
        self.prepare()
        return _OpenVinoJob(self._compiled, images)

    def _compile(self):
        import openvino

        core = openvino.Core()
        kept = None if self._kept_as is None else self._kept_as / _MODEL_FILE
        model = core.read_model(kept) if kept is not None and kept.is_file() else self._convert()
        if kept is not None:
            core.set_property({"CACHE_DIR": str(self._kept_as)})
        precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        return core.compile_model(model, "CPU", options)

    def _convert(self):
        import openvino

        side = self._network.spec.preprocessing.input_size
        example = torch.zeros(1, 3, side, side)
        with torch.no_grad(), warnings.catch_warnings():
            # Tracing warns of what is fixed here: the picture's size, not the number of pictures.
            warnings.simplefilter("ignore")
            names = tuple(self._network.encode(example).features)
            wrapped = _FeatureTuple(self._network, names).eval()
            model = openvino.convert_model(wrapped, example_input=example)
        model.reshape([-1, *example.shape[1:]])
        for port, name in zip(model.outputs, names, strict=True):
            port.get_tensor().set_names({name})
        if self._kept_as is not None:
            _keep(model, self._kept_as)
        return model


class _OpenVinoJob(Job[Embedding]):
    """One request of its own: they are cheap, and OpenVINO computes one after the other."""

    def __init__(self, compiled, images: Tensor) -> None:
        self._request = compiled.create_infer_request()
        self._cancelled = False
        # The request reads this memory until it is over.
        self._images = images.contiguous()
        self._request.start_async([self._images.numpy()])

    def poll(self) -> bool:
        # What went wrong is raised by `result`.
        with contextlib.suppress(RuntimeError):
            return self._cancelled or self._request.wait_for(0)
        return True

    def result(self) -> Embedding:
        if self._cancelled:
            raise CancelledError
        self._request.wait()
        # Copied: the memory is the request's.
        tensors = {port.any_name: self._request.get_tensor(port).data.copy() for port in self._request.model_outputs}
        return Embedding({name: torch.from_numpy(values) for name, values in tensors.items()})

    def cancel(self) -> None:
        if not self.poll():
            self._cancelled = True
            self._request.cancel()
            with contextlib.suppress(RuntimeError):  # which says that it was cancelled
                self._request.wait()


_MODEL_FILE = "encoder.xml"


def _keep(model, folder: Path) -> None:
    """Write the converted model whole or not at all; another process may do the same at the same time."""
    import openvino

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as temporary:
        new = Path(temporary) / "model"
        openvino.save_model(model, new / _MODEL_FILE, compress_to_fp16=False)
        with contextlib.suppress(OSError):  # the other process was faster
            new.rename(folder)
