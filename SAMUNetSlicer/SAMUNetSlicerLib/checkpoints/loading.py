"""From a checkpoint file or a model's name to a network that is ready to answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import ModelError
from ..networks.base import PromptedNetwork
from ..networks.registry import build
from .catalogue import Catalogue, CatalogueEntry, read_catalogue
from .places import user_models_folder, weights_folder
from .recognise import check_fit, recognise
from .tensors import read_metadata, read_tensors, to_float32

UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, in evaluation mode, and what must be said of their origin.

    name: the catalogue's name, else the file's name without its folder.
    """

    network: PromptedNetwork
    family: str
    sha256: str
    name: str
    licence: str


def load_network(
    path_or_name: str | Path, family: str | None = None, device: str | torch.device = "cpu"
) -> LoadedModel:
    """Load an installed model by its name in the catalogue, or a checkpoint file of any known family.

    family: needed only for files whose layout two families share; must agree with the file's layout.
    The file is memory-mapped, so that it takes little more memory than its size; half precision becomes float32.
    Raises ModelError for a model that is not installed, or a file that is damaged, unsafe, or of another layout.
    """
    catalogue = read_catalogue()
    path = locate(path_or_name, catalogue)
    digest = sha256_of(path)
    entry = catalogue.by_sha256(digest)
    tensors = read_tensors(path)
    family = family or (entry.family if entry else read_metadata(path).get("family")) or recognise(tensors)
    network = build(family)
    check_fit(network, tensors, family)
    network.load_state_dict({name: to_float32(tensor) for name, tensor in tensors.items()}, strict=True, assign=True)
    return LoadedModel(
        network=network.to(device).eval(),
        family=family,
        sha256=digest,
        name=entry.name if entry else path.name,
        licence=entry.licence if entry else read_metadata(path).get("licence", UNKNOWN_LICENCE),
    )


def locate(path_or_name: str | Path, catalogue: Catalogue) -> Path:
    """The file of an installed model, or the given file itself. Raises ModelError where there is none."""
    entry = catalogue.get(str(path_or_name))
    if entry is not None:
        return find_installed(entry)
    path = Path(path_or_name)
    if path.is_file():
        return path
    known = ", ".join(e.name for e in catalogue.models)
    raise ModelError(f"There is neither a file nor a model named '{path_or_name}'. Known models: {known}.")


def find_installed(entry: CatalogueEntry) -> Path:
    """Where the model's file stands. Raises ModelError where it is not installed."""
    for folder in (weights_folder(), user_models_folder()):
        path = folder / entry.file.name
        if path.is_file():
            return path
    raise ModelError(f"The model {entry.name} is not installed. Get it with: samunet models download {entry.name}")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
