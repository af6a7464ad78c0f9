"""Expected outputs of the published networks under weights that are made from their keys' names alone.

Testing/Data/parity/<family>/ holds manifest.json (keys, shapes, CRC-32, configuration) and cases.npz (inputs and what
the published code answered). No published weights and no published code are in this repository.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from SAMUNetSlicerLib.networks.base import NetworkPrompts, PromptedNetwork
from SAMUNetSlicerLib.networks.registry import build

PARITY_FOLDER = Path(__file__).parents[1] / "Data" / "parity"

_TOKEN = re.compile(
    r"(point_embeddings\.\d+|not_a_point_embed|no_mask_embed|iou_token|mask_tokens|hf_token|med_token)\.weight$"
)


def parity_tensor(name: str, shape: tuple[int, ...], dtype: str, salt: str = "") -> np.ndarray:
    """The value of one state-dict entry: a function of its name, shape and dtype."""
    if not dtype.startswith(("float", "bfloat")):
        return np.zeros(shape, dtype=dtype)
    generator = np.random.Generator(np.random.PCG64(zlib.crc32((salt + name).encode())))
    noise = generator.standard_normal(shape).astype(np.float32)
    scale, offset = np.float32(0.05), np.float32(0.0)
    if name.endswith("running_var"):
        return np.float32(1.5) + np.abs(noise) * np.float32(0.3)
    if name.endswith("running_mean"):
        pass
    elif name.endswith("positional_encoding_gaussian_matrix"):
        scale = np.float32(1.0)
    elif name.endswith("pos_embed"):
        scale = np.float32(0.2)
    elif _TOKEN.search(name):
        scale = np.float32(0.5)
    elif len(shape) <= 1:
        offset = np.float32(1.0 if name.endswith("weight") else 0.0)
    else:
        return np.asarray(noise / np.float32(np.sqrt(np.prod(shape[1:], dtype=np.float64))), dtype=np.float32)
    return np.asarray(offset + noise * scale, dtype=np.float32)


def parity_state(keys: Mapping[str, Mapping], salt: str = "") -> dict[str, Tensor]:
    """The whole state dict that a manifest's `keys` describe."""
    return {
        name: torch.from_numpy(np.ascontiguousarray(parity_tensor(name, tuple(key["shape"]), key["dtype"], salt)))
        if key["shape"]
        else torch.tensor(parity_tensor(name, (), key["dtype"], salt).item(), dtype=getattr(torch, key["dtype"]))
        for name, key in keys.items()
    }


def manifest_of(family: str) -> dict:
    return json.loads((PARITY_FOLDER / family / "manifest.json").read_text())


def parity_delta(family: str) -> dict[str, Tensor]:
    """What a file of a family holds that adds to SAM's checkpoint."""
    delta = manifest_of(family)["delta"]
    return parity_state(delta["keys"], delta["salt"])


def parity_network(family: str) -> PromptedNetwork:
    """The family's network under the recipe's weights, loaded strictly."""
    network = build(family)
    network.load_state_dict(parity_state(manifest_of(family)["keys"]), strict=True, assign=True)
    return network


@dataclass(frozen=True)
class Query:
    """One prompt set of a case and what the published code answered."""

    case: Case
    number: int
    name: str
    multimask: bool
    hq_token_only: bool

    def __getitem__(self, entry: str) -> np.ndarray:
        return self.case[f"q{self.number}.{entry}"]

    def __contains__(self, entry: str) -> bool:
        return f"q{self.number}.{entry}" in self.case

    def tensor(self, entry: str) -> Tensor | None:
        return torch.from_numpy(self[entry]) if entry in self else None

    @property
    def prompts(self) -> NetworkPrompts:
        return NetworkPrompts(
            points_xy=self.tensor("points_in"),
            point_labels=self.tensor("labels"),
            boxes_xyxy=self.tensor("box_in"),
            mask_logits=self.tensor("mask_in"),
            plane_index=torch.zeros(len(self["logits"]), dtype=torch.long),
        )


@dataclass(frozen=True)
class Case:
    """One image of a fixture."""

    arrays: Mapping[str, np.ndarray]
    name: str
    index: Mapping

    def __getitem__(self, entry: str) -> np.ndarray:
        return self.arrays[f"{self.name}.{entry}"]

    def __contains__(self, entry: str) -> bool:
        return f"{self.name}.{entry}" in self.arrays

    @property
    def queries(self) -> list[Query]:
        return [
            Query(self, number, query["name"], query["multimask"], query["hq_token_only"])
            for number, query in enumerate(self.index["queries"])
        ]

    @cached_property
    def input(self) -> Tensor:
        """(1, 3, S, S): what the network gets."""
        if "input" in self:
            return torch.from_numpy(self["input"])
        # 1024 px: the resized 8-bit image, stored as differences along its rows
        pixels = np.cumsum(self["input_u8_dx"], axis=1, dtype=np.uint8).astype(np.float32)
        mean = np.array([123.675, 116.28, 103.53], dtype=np.float32)
        deviation = np.array([58.395, 57.12, 57.375], dtype=np.float32)
        padded = np.zeros((1, 3, 1024, 1024), dtype=np.float32)
        padded[0, :, : pixels.shape[0], : pixels.shape[1]] = ((pixels - mean) / deviation).transpose(2, 0, 1)
        return torch.from_numpy(padded)

    @property
    def probes(self) -> list[str]:
        """Names of the activations whose statistics and first corner are known."""
        prefix, suffix = f"{self.name}.probe.", ".stats"
        return [
            key[len(prefix) : -len(suffix)] for key in self.arrays if key.startswith(prefix) and key.endswith(suffix)
        ]

    def probe_distance(self, probe: str, activation: Tensor) -> float:
        """Largest deviation of an activation from what is known of it; infinite if its shape is another."""
        if tuple(activation.shape) != tuple(self[f"probe.{probe}.shape"]):
            return float("inf")
        corner = activation.reshape(-1, *activation.shape[-2:])[0, :8, :8].numpy()
        mean, deviation = self[f"probe.{probe}.stats"]
        return max(
            float(np.abs(corner - self[f"probe.{probe}.corner"]).max()),
            abs(activation.mean(dtype=torch.float64).item() - mean),
            abs(activation.double().std().item() - deviation),
        )


def cases_of(family: str) -> list[Case]:
    with np.load(PARITY_FOLDER / family / "cases.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return [Case(arrays, entry["case"], entry) for entry in json.loads(str(arrays["index"]))]


def distance(actual: Tensor, expected: np.ndarray) -> float:
    """max|d|; infinite where the shapes differ."""
    if tuple(actual.shape) != expected.shape:
        return float("inf")
    return float(np.abs(actual.numpy() - expected).max())


def encoder_modules(encoder: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The modules of a SAM image encoder under the names of the fixtures' probes."""
    modules = {"patch_embed": encoder.patch_embed, "image_embedding": encoder.neck}
    return modules | {f"block_{number:02d}": block for number, block in enumerate(encoder.blocks)}


def probe_distances(case: Case, seen: Mapping[str, Tensor]) -> dict[str, float]:
    """Of the activations that were seen and are known."""
    return {name: case.probe_distance(name, seen[name]) for name in case.probes if name in seen}


class Probe:
    """Records the outputs of named modules during a forward pass: `with Probe({"neck": module}) as seen: ...`."""

    def __init__(self, modules: Mapping[str, torch.nn.Module]) -> None:
        self._modules = modules
        self._hooks = []

    def __enter__(self) -> dict[str, Tensor]:
        seen: dict[str, Tensor] = {}
        for name, module in self._modules.items():

            def record(_module, _inputs, output, name=name) -> None:
                seen[name] = output.detach().clone() if isinstance(output, Tensor) else output

            self._hooks.append(module.register_forward_hook(record))
        return seen

    def __exit__(self, *_exception) -> None:
        for hook in self._hooks:
            hook.remove()
