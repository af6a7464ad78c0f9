"""The model that is loaded, and what computes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...inference.jobs import Job, SteppedJob
from ...scene.record.document import ModelIdentity
from .breathing import Breather, PatientPredictor
from .texts import _, translated_note

if TYPE_CHECKING:  # bring torch, which Slicer gets only later
    from ...checkpoints.loading import LoadedModel
    from ...inference.predictor import PlanePredictor


def device_choices() -> list[tuple[str, str]]:
    """(text, value) of everything that may compute."""
    return [
        (_("Best available"), "auto"),
        (_("Processor (CPU)"), "cpu"),
        (_("NVIDIA graphics card"), "cuda"),
        (_("Apple graphics"), "mps"),
    ]


# Imported one by one, each of them in one piece, of which only PyTorch's takes a second or more.
_LARGE_PACKAGES = ("numpy", "scipy.ndimage", "torch", "openvino", "safetensors", "PIL.Image", "platformdirs")


class ModelLoader:
    """Loads models. told: called with sentences for the user. `device_text`: what computes, in plain words."""

    def __init__(self, told: Callable[[str], None], breather: Breather) -> None:
        self._told, self._breather = told, breather
        self.device_text = ""
        self._encodings_folder: Path | None = None
        self._loaded: tuple[PlanePredictor, LoadedModel] | None = None
        self._file: tuple[str, tuple | None] | None = None  # name of what is loaded, and the stamp that its file had

    def keep_encodings(self, folder: Path | None) -> None:
        """Keep encodings in a folder from now on, of any model; None keeps no more of them. Files stay as they are."""
        self._encodings_folder = folder
        self._connect_disk()

    def _connect_disk(self) -> None:
        if self._loaded is None:
            return
        from ...inference.encoding.disk_cache import DiskCache, ModelEncodings

        predictor, model = self._loaded
        folder = self._encodings_folder
        predictor.on_disk = None if folder is None else ModelEncodings(DiskCache(folder), model.identity)

    def let_go(self) -> None:
        """Hold nothing of what is loaded."""
        self._loaded = self._file = None
        self.device_text = ""

    def is_outdated(self) -> bool:
        """Whether another file has come in the place of the one that was loaded. One that is gone is none."""
        if self._file is None:
            return False
        name, loaded = self._file
        return _stamp(name) not in (None, loaded)

    def load(self, name: str, wish: str = "auto") -> tuple[PatientPredictor, ModelIdentity]:
        """Load a model and make it ready to answer; the window lives meanwhile, but for the import of PyTorch.

        Raises ModelError for a model that is missing or damaged, UserError for a device that is not there, Interrupted
        where it is stopped.
        """
        return self._breather.wait_for(SteppedJob(self._steps(name, wish)))

    def _steps(self, name: str, wish: str) -> Generator[Job | None, Any, tuple[PatientPredictor, ModelIdentity]]:
        for package in _LARGE_PACKAGES:
            yield
            if find_spec(package) is not None:
                import_module(package)
        yield
        from ...inference.devices import choose_device, describe_device

        yield
        from ...checkpoints.loading import load_in_steps

        yield
        from ...inference.opening import open_in_steps

        yield
        file = name, _stamp(name)  # before it is read: what comes in its place meanwhile counts as another one
        device = self._usable(choose_device(wish))
        loaded = yield from load_in_steps(name, device="cpu")
        predictor = yield from open_in_steps(loaded, name, device, lambda note: self._told(translated_note(note)))
        self._loaded, self._file = (predictor, loaded), file
        self._connect_disk()
        self.device_text = _("Computing on {device}.").format(device=describe_device(predictor.device))
        return PatientPredictor(predictor, self._breather), ModelIdentity(loaded.family, loaded.sha256, loaded.name)

    def _usable(self, device):
        """The device, or the processor where the device does not compute with this build of PyTorch."""
        import torch

        from ...inference.devices import why_it_fails

        reason = why_it_fails(device)
        if not reason:
            return device
        self._told(
            _(
                "The graphics card does not work with the installed PyTorch, so the processor is used. "
                "Installing a newer PyTorch may help. ({reason})"
            ).format(reason=reason)
        )
        return torch.device("cpu")


def _stamp(name: str) -> tuple | None:
    from ...checkpoints.catalogue import read_catalogue
    from ...checkpoints.installed import file_stamp

    return file_stamp(name, read_catalogue())
