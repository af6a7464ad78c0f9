"""What runs a network's encoder: torch, or OpenVINO where it is installed and the processor does the work.

Encoding is nearly all of the time that a new plane takes. On processors with bfloat16 matrix units OpenVINO takes a
fraction of torch's time; its answers differ from torch's by that precision (see docs/speed.md for both).
"""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import platformdirs
import torch
from torch import Tensor, nn

from ..errors import UserError
from ..networks.base import Embedding, PromptedNetwork
from ..project import NAME

# (N, 3, S, S) prepared planes on the predictor's device to their embedding
Encode = Callable[[Tensor], Embedding]


class EngineChoice(Enum):
    """AUTO takes OpenVINO where it is installed and the device is the processor."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


def build_encode(
    network: PromptedNetwork,
    device: torch.device,
    choice: EngineChoice = EngineChoice.AUTO,
    kept_as: Path | None = None,
) -> Encode:
    """A function that encodes batches of planes with `network`.

    kept_as: folder in which the converted network is kept for the next start (weights only, no image data); its name
    must tell the weights apart, for example by their hash. Raises UserError where OpenVINO is asked for but not
    installed, or with another device than the processor.
    """
    if choice is EngineChoice.TORCH:
        return network.encode
    if device.type == "cpu" and importlib.util.find_spec("openvino") is not None:
        return OpenVinoEncoder(network, kept_as)
    if choice is EngineChoice.OPENVINO:
        raise UserError("OpenVINO needs the device 'cpu' and the Python package 'openvino'. Install it, or use torch.")
    return network.encode


def kept_conversions_folder() -> Path:
    """Where converted networks are kept: the platform's folder for caches."""
    return platformdirs.user_cache_path(NAME, appauthor=False) / "openvino"


class _FeatureTuple(nn.Module):
    """A network's `encode` as a module with tensors in and out, which is what can be converted."""

    def __init__(self, network: PromptedNetwork, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode(images).features
        return tuple(features[name] for name in self.names)


class OpenVinoEncoder:
    """Encodes on the processor in bfloat16 where it has matrix units for it, in float32 elsewhere.

    Converting takes seconds, so it waits for the first plane.
    """

    def __init__(self, network: PromptedNetwork, kept_as: Path | None = None) -> None:
        self._network = network
        self._kept_as = kept_as
        self._compiled = None

    def __call__(self, images: Tensor) -> Embedding:
        if self._compiled is None:
            self._compiled = self._compile(images[:1])
        outputs = self._compiled(images.numpy())
        # Copied: OpenVINO reuses its output buffers in the next call.
        return Embedding({port.any_name: torch.from_numpy(value.copy()) for port, value in outputs.items()})

    def _compile(self, example: Tensor):
        import openvino

        core = openvino.Core()
        kept = None if self._kept_as is None else self._kept_as / _MODEL_FILE
        model = core.read_model(kept) if kept is not None and kept.is_file() else self._convert(example)
        if kept is not None:
            core.set_property({"CACHE_DIR": str(self._kept_as)})
        precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        return core.compile_model(model, "CPU", options)

    def _convert(self, example: Tensor):
        import openvino

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
