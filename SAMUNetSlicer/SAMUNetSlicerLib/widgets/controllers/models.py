"""The model that is loaded, and what computes."""

from __future__ import annotations

from collections.abc import Callable

from ...scene.document import ModelIdentity
from .breathing import Breather, PatientPredictor
from .texts import _


def device_choices() -> list[tuple[str, str]]:
    """(text, value) of everything that may compute."""
    return [
        (_("Best available"), "auto"),
        (_("Processor (CPU)"), "cpu"),
        (_("NVIDIA graphics card"), "cuda"),
        (_("Apple graphics"), "mps"),
    ]


class ModelLoader:
    """Loads models. told: called with sentences for the user. `device_text`: what computes, in plain words."""

    def __init__(self, told: Callable[[str], None], breather: Breather) -> None:
        self._told, self._breather = told, breather
        self.device_text = ""

    def load(self, name: str, wish: str = "auto") -> tuple[PatientPredictor, ModelIdentity]:
        """Raises ModelError for a model that is missing or damaged, UserError for a device that is not there."""
        from ...checkpoints.loading import load_network
        from ...inference.devices import choose_device, describe_device
        from ...inference.opening import open_predictor

        device = self._usable(choose_device(wish))
        loaded = load_network(name, device="cpu")
        self.device_text = _("Computing on {device}.").format(device=describe_device(device))
        predictor = PatientPredictor(open_predictor(loaded, device, told=self._told), self._breather)
        return predictor, ModelIdentity(loaded.family, loaded.sha256, loaded.name)

    def _usable(self, device):
        """The device, or the processor where the device does not compute with this build of PyTorch."""
        import torch

        try:
            (torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)).sum().item()
        except (RuntimeError, AssertionError) as error:
            self._told(
                _(
                    "The graphics card does not work with the installed PyTorch, so the processor is used. "
                    "Installing a newer PyTorch may help. ({reason})"
                ).format(reason=str(error).splitlines()[0])
            )
            return torch.device("cpu")
        return device
