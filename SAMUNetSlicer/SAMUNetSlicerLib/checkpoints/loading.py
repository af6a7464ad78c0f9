"""From a checkpoint file or a model's name to a network that is ready to answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..errors import ModelError
from ..networks.base import PromptedNetwork
from ..networks.parts.vit import PATCH_SIZE
from ..networks.registry import FAMILIES, build, entry_of
from ..stepwise import run_through
from .catalogue import Catalogue, CatalogueEntry, read_catalogue
from .identity import identify_in_steps
from .installed import find_family, find_installed, find_user_model, is_file
from .listing import UNKNOWN_LICENCE
from .metadata import read_metadata
from .recognise import check_fit, recognise
from .steps import Progress, hash_in_steps
from .tensors import read_tensors, to_float32

_Result = TypeVar("_Result")
_SIZE = re.compile(r"[0-9]{1,5}")


class AmbiguousFamilyError(ModelError):
    """A file that may be of several families, of which only the user can tell. families: their names."""

    def __init__(self, file_name: str, families: tuple[str, ...]) -> None:
        super().__init__(
            f"{file_name} may be of the family {' or '.join(families)}: their files look alike, but want other "
            f"pictures. Say which it is (on the command line: --family {families[0]})."
        )
        self.file_name, self.families = file_name, families


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, in evaluation mode, and what must be said of their origin.

    sha256: of the model's own file; base_sha256: of the base that was added to it, if any.
    name: the catalogue's name, else the file's name without its folder.
    """

    network: PromptedNetwork
    family: str
    sha256: str
    name: str
    licence: str
    base_sha256: str | None = None

    @property
    def identity(self) -> str:
        """Text fit for a file name that differs wherever the network's answers may: for keys of caches."""
        parts = [self.family, str(self.network.spec.preprocessing.input_size), self.sha256, self.base_sha256]
        return "-".join(part for part in parts if part)


def load_network(
    path_or_name: str | Path,
    family: str | None = None,
    device: str | torch.device = "cpu",
    base: str | Path | None = None,
    input_size: int | None = None,
) -> LoadedModel:
    """All steps of `load_in_steps` at once."""
    return run_through(load_in_steps(path_or_name, family, device, base, input_size))


def load_in_steps(
    path_or_name: str | Path,
    family: str | None = None,
    device: str | torch.device = "cpu",
    base: str | Path | None = None,
    input_size: int | None = None,
) -> Generator[None, None, LoadedModel]:
    """Load an installed model by its name, or a checkpoint file of any known family, in short steps.

    family: needed only for files whose layout two families share (SAM and MedSAM), or to choose another way to use
        the weights (`hq_sam_vit_b_only`, `med_sa_3d`); must agree with the file.
    base: SAM's checkpoint, by name or path, for families whose files hold only what was trained on top of it (SAMed,
        MA-SAM); the installed one by default.
    input_size: side in pixels, a multiple of 16, for such files when they were trained at another one than usual.
    The file is memory-mapped, so that it takes little more memory than its size; half precision becomes float32.
    Raises ModelError for a model that is not installed, or a file that is damaged, unsafe, or of another layout.
    """
    catalogue = read_catalogue()
    path = locate(path_or_name, catalogue)
    identity = yield from _without_progress(identify_in_steps(path, catalogue))
    entry = identity.published
    _refuse_changed(catalogue.get(str(path_or_name)), path, entry)
    tensors, metadata = read_tensors(path), read_metadata(path)
    family = decide_family(path.name, tensors, entry.family if entry else metadata.get("family"), family)
    base_path = find_base(family, tensors, base, catalogue)
    remembered = metadata.get("input_size", "")
    if input_size is None and _SIZE.fullmatch(remembered):
        input_size = int(remembered)
    yield
    network, state = yield from _assemble_in_steps(family, tensors, base_path, input_size)
    yield
    network.load_state_dict(state, strict=True, assign=True)
    base_hashes = (yield from _without_progress(hash_in_steps(base_path, "sha256"))) if base_path else {}
    return LoadedModel(
        network=network.to(device).eval(),
        family=family,
        sha256=identity.sha256,
        name=entry.name if entry else path.name,
        licence=entry.licence if entry else metadata.get("licence", UNKNOWN_LICENCE),
        base_sha256=base_hashes.get("sha256"),
    )


def _refuse_changed(asked: CatalogueEntry | None, path: Path, published: CatalogueEntry | None) -> None:
    """A published file that has changed since it was verified is not what its name says."""
    if asked is not None and path.name == asked.file.name and asked.file.digest is not None and published != asked:
        raise ModelError(f"The file of the model {asked.name} is damaged. Delete the model and install it again.")


def decide_family(file_name: str, tensors: Mapping[str, Tensor], known: str | None, asked: str | None) -> str:
    """The family that a file shall be loaded as.

    known: what its hash or its header says, if anything; asked: the user's word, if any.
    Raises ModelError where they contradict each other, AmbiguousFamilyError where only the user can tell.
    """
    if asked is not None:
        mode_of = entry_of(asked).mode_of
        if known is not None and known not in (asked, mode_of):
            raise ModelError(f"{file_name} is a file of the family {known}, not {asked}.")
        return asked
    if known is not None:
        return known
    family = recognise(tensors)
    twins = [name for name, entry in FAMILIES.items() if entry.twin_of == family]
    if twins:
        raise AmbiguousFamilyError(file_name, (family, *twins))
    return family


def assemble(
    family: str, tensors: Mapping[str, Tensor], base: Path | None = None, input_size: int | None = None
) -> tuple[PromptedNetwork, dict[str, Tensor]]:
    """A network on the meta device and its state dict in float32. Raises ModelError where they do not fit."""
    return run_through(_assemble_in_steps(family, tensors, base, input_size))


def _assemble_in_steps(
    family: str, tensors: Mapping[str, Tensor], base: Path | None, input_size: int | None
) -> Generator[None, None, tuple[PromptedNetwork, dict[str, Tensor]]]:
    settings: dict[str, Any] = {} if input_size is None else {"input_size": input_size}
    _check_input_size(family, input_size)
    base_tensors = {} if base is None else {name: to_float32(t) for name, t in read_tensors(base).items()}
    try:
        network = build(family, **(entry_of(family).network_class.settings_of(tensors) | settings))
        state = network.state_from(tensors, base_tensors)
    except (KeyError, IndexError, RuntimeError, TypeError) as error:
        raise ModelError(f"The checkpoint does not fit the network {family}: {error}.") from error
    check_fit(network, state, family)
    for name in state:
        yield
        state[name] = to_float32(state[name])
        if state[name].is_floating_point() and not torch.isfinite(state[name]).all():
            raise ModelError(f"The weights {name} are no numbers: a training went wrong. Take an earlier checkpoint.")
    return network, state


def _check_input_size(family: str, input_size: int | None) -> None:
    if input_size is None:
        return
    if "input_size" not in inspect.signature(entry_of(family).network_class).parameters:
        raise ModelError(f"The network {family} has one input size only. Leave the input size out.")
    if input_size < PATCH_SIZE or input_size % PATCH_SIZE:
        raise ModelError(f"The input size is a multiple of {PATCH_SIZE} pixels, not {input_size}.")


def find_base(family: str, tensors: Mapping[str, Tensor], base: str | Path | None, catalogue: Catalogue) -> Path | None:
    """The checkpoint that must be added to these tensors: the given one, else the installed one; None if none must.

    Raises ModelError where it is needed and absent, or given and not needed.
    """
    try:
        wanted = entry_of(family).network_class.base_family_of(tensors)
    except (KeyError, IndexError) as error:
        raise ModelError(f"The checkpoint does not fit the network {family}: {error} is missing.") from error
    if wanted is None:
        if base is not None:
            raise ModelError(f"Files of {family} hold the whole network. Leave the base out.")
        return None
    path = locate(base, catalogue) if base is not None else find_family(wanted, catalogue)
    if path is None:
        raise ModelError(
            f"Files of {family} hold only what was trained on top of {wanted}. Install that model, "
            "or say where its file is (on the command line: --base FILE)."
        )
    return path


def locate(path_or_name: str | Path, catalogue: Catalogue) -> Path:
    """The file of an installed model, or the given file itself. Raises ModelError where there is none."""
    name = str(path_or_name)
    entry = catalogue.get(name)
    if entry is not None:
        return require_installed(entry)
    path = find_user_model(name) or Path(path_or_name)
    if is_file(path):
        return path
    known = ", ".join(e.name for e in catalogue.models)
    raise ModelError(f"There is neither a file nor a model named '{name}'. Known models: {known}.")


def require_installed(entry: CatalogueEntry) -> Path:
    """Where the model's file stands. Raises ModelError, saying how to get it, where it is not installed."""
    path = find_installed(entry)
    if path is not None:
        return path
    how = (
        f"samunet models download {entry.name}"
        if entry.file.url
        else f"samunet models install FILE --name {entry.name}"
    )
    raise ModelError(f"The model {entry.name} is not installed. Install it with: {how}")


def _without_progress(steps: Generator[Progress, None, _Result]) -> Generator[None, None, _Result]:
    """The same steps without what they yield, which `SteppedJob` would take for jobs to await."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        yield
