"""What our forms of the encoders gain over the published ones: PyTorch in both precisions, and OpenVINO.

PYTHONPATH=SAMUNetSlicer python Testing/Benchmarks/encoder_forms.py [MODEL]

One plane, in turns, medians; as many threads as PyTorch takes.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "SAMUNetSlicer"))
_REPETITIONS = 7


def main() -> None:
    from SAMUNetSlicerLib.checkpoints.catalogue import DEFAULT_MODEL
    from SAMUNetSlicerLib.checkpoints.loading import load_network
    from SAMUNetSlicerLib.evaluation.benchmarking.timing import interleaved_medians
    from SAMUNetSlicerLib.inference.encoding.encoders import Precision, TorchEncoder
    from SAMUNetSlicerLib.inference.encoding.openvino_encoder import OpenVinoEncoder
    from SAMUNetSlicerLib.networks.parts.published_forms import as_published

    network = load_network((sys.argv[1:] or [DEFAULT_MODEL])[0]).network.eval()
    side = network.spec.preprocessing.input_size
    images = torch.rand(1, 3, side, side)
    encoders = {}
    for form, net in (("published", as_published(network)), ("ours", network)):
        encoders[f"PyTorch, fp32, {form}"] = TorchEncoder(net, Precision.FULL)
        encoders[f"PyTorch, bfloat16, {form}"] = TorchEncoder(net, Precision.HALF)
        if importlib.util.find_spec("openvino") is not None:
            encoders[f"OpenVINO, {form}"] = OpenVinoEncoder(net)
    with torch.inference_mode():
        seconds = interleaved_medians({name: lambda e=e: e(images) for name, e in encoders.items()}, _REPETITIONS)
    for name, value in sorted(seconds.items()):
        print(f"{name:28s} {value:.3f} s")


if __name__ == "__main__":
    main()
