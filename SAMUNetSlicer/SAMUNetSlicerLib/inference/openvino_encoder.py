"""OpenVINO as what encodes planes on the processor, on its own threads and in a fraction of torch's time."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ..networks.base import Embedding, PromptedNetwork
from .encoders import Encoder, Precision
from .jobs import CancelledError, Job


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

    def __init__(
        self, network: PromptedNetwork, kept_as: Path | None = None, precision: Precision = Precision.AUTO
    ) -> None:
        self._network = network
        self._kept_as = kept_as
        self._precision = precision
        self._compiled = None

    @property
    def signature(self) -> str:
        return f"openvino {self._hint}"

    @cached_property
    def _hint(self) -> str:
        """OpenVINO's name of the number format."""
        import openvino

        able = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "bf16" if able and self._precision is not Precision.FULL else "f32"

    @property
    def is_converted(self) -> bool:
        """Whether `prepare` only reads what is kept, which takes well under a second, rather than up to a minute."""
        return self._compiled is not None or (self._kept_as is not None and (self._kept_as / _MODEL_FILE).is_file())

    def prepare(self) -> None:
        if self._compiled is None:
            self._compiled = self._compile()

    def begin(self, images: Tensor) -> Job[Embedding]:
        self.prepare()
        kept_type = torch.bfloat16 if self._hint == "bf16" else torch.float32
        return _OpenVinoJob(self._compiled, images, kept_type)

    def _compile(self):
        import openvino

        core = openvino.Core()
        model = None if self.is_converted else self._convert()
        if self.is_converted:
            core.set_property({"CACHE_DIR": str(self._kept_as)})
            # Also right after converting: what is compiled is kept under a name that differs for models in memory.
            model = core.read_model(self._kept_as / _MODEL_FILE)
        options = {"INFERENCE_PRECISION_HINT": self._hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        return core.compile_model(model, "CPU", options)

    def _convert(self):
        import openvino

        side = self._network.spec.preprocessing.input_size
        example = torch.zeros(1, 3, side, side)
        with torch.no_grad(), warnings.catch_warnings():
            # Tracing warns of what is fixed here: size and number of the pictures.
            warnings.simplefilter("ignore")
            names = tuple(self._network.encode(example).features)
            wrapped = _FeatureTuple(self._network, names).eval()
            model = openvino.convert_model(wrapped, example_input=example)
        model.reshape([*example.shape])  # a number left open costs a twentieth of the time
        for port, name in zip(model.outputs, names, strict=True):
            port.get_tensor().set_names({name})
        if self._kept_as is not None:
            _keep(model, self._kept_as)
        return model


class _OpenVinoJob(Job[Embedding]):
    """One request a plane: they are cheap, and OpenVINO computes one after the other."""

    def __init__(self, compiled, images: Tensor, kept_type: torch.dtype) -> None:
        self._kept_type = kept_type
        self._cancelled = False
        # The requests read this memory until they are over.
        self._images = images.contiguous()
        self._requests = [compiled.create_infer_request() for _ in images]
        for request, image in zip(self._requests, self._images.split(1), strict=True):
            request.start_async([image.numpy()])

    def poll(self) -> bool:
        return self._cancelled or all(map(_is_over, self._requests))

    def result(self) -> Embedding:
        if self._cancelled:
            raise CancelledError
        return Embedding.concatenate([self._answer(request) for request in self._requests])

    def cancel(self) -> None:
        if not self.poll():
            self._cancelled = True
            for request in self._requests:
                request.cancel()
            for request in self._requests:
                with contextlib.suppress(RuntimeError):  # which says that it was cancelled
                    request.wait()

    def _answer(self, request) -> Embedding:
        request.wait()
        outputs = {port.any_name: request.get_tensor(port).data for port in request.model_outputs}
        # Copied: the memory is the request's.
        return Embedding({name: torch.from_numpy(v).to(self._kept_type, copy=True) for name, v in outputs.items()})


def _is_over(request) -> bool:
    # What went wrong is raised by `result`.
    with contextlib.suppress(RuntimeError):
        return request.wait_for(0)
    return True


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
