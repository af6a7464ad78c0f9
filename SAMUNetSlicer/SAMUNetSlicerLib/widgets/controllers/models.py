"""The models that can be chosen, and the one that is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...scene.document import ModelIdentity
from .careful_predictor import CarefulPredictor

DEVICES = {"auto": "Best available", "cpu": "Processor (CPU)", "cuda": "NVIDIA graphics card", "mps": "Apple graphics"}


@dataclass(frozen=True)
class ModelRow:
    """One line of the list of models."""

    name: str
    title: str
    size: str
    licence: str
    prompts: str
    state: str

    @property
    def installed(self) -> bool:
        return self.state.startswith("installed")


def model_rows() -> list[ModelRow]:
    """All known models. Raises ModuleNotFoundError before the requirements are installed."""
    from ...checkpoints.catalogue import read_catalogue
    from ...checkpoints.installed import find_installed

    rows = []
    for entry in read_catalogue().models:
        present = bool(find_installed(entry))
        state = "installed" if present else "not installed"
        if entry.file.shipped and present:
            state = "installed with the extension"
        size = "unknown" if entry.file.size is None else f"{entry.file.size / 1e6:.0f} MB"
        prompts = ", ".join(entry.trained_prompts) or "none: segments by itself"
        rows.append(ModelRow(entry.name, entry.title, size, entry.licence, prompts, state))
    return rows


class ModelLoader:
    """Loads models. told: called with sentences for the user. `device_text`: what computes, in plain words."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self.device_text = ""

    def load(self, name: str, wish: str = "auto") -> tuple[CarefulPredictor, ModelIdentity]:
        """Raises ModelError for a model that is missing or damaged, UserError for a device that is not there."""
        from ...checkpoints.loading import load_network
        from ...inference.devices import choose_device, describe_device
        from ...inference.predictor import PlanePredictor

        device = self._usable(choose_device(wish))
        loaded = load_network(name, device="cpu")
        self.device_text = f"Computing on {describe_device(device)}."
        predictor = CarefulPredictor(PlanePredictor(loaded.network, device), self._told)
        return predictor, ModelIdentity(loaded.family, loaded.sha256, loaded.name)

    def _usable(self, device):
        """The device, or the processor where the device does not compute with this build of PyTorch."""
        import torch

        try:
            (torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)).sum().item()
        except (RuntimeError, AssertionError) as error:
            self._told(
                "The graphics card does not work with the installed PyTorch, so the processor is used. "
                f"Installing a newer PyTorch may help. ({str(error).splitlines()[0]})"
            )
            return torch.device("cpu")
        return device
