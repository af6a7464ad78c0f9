"""The section Set-up: what is installed, installing on the user's yes, the model and the device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CalledProcessError

import slicer
from slicer.i18n import tr as _

from ..errors import UserError
from .combo_boxes import choose, fill, value_of
from .controllers.models import device_choices
from .controllers.requirements import TORCH, needs, summary
from .controllers.texts import package_not_loaded
from .controllers.work import Work
from .encodings_panel import EncodingsPanel
from .model_table import ModelTable


class SetUpPanel:
    """chosen: called when the user has chosen another model or device."""

    def __init__(self, ui, work: Work, requirements_file: Path, chosen: Callable[[], None]) -> None:
        self._ui, self._work, self._file, self._chosen = ui, work, requirements_file, chosen
        fill(ui.deviceSelector, device_choices())
        self.models = ModelTable(ui, work, self._offer_models)
        self._encodings = EncodingsPanel(ui, work)
        ui.installButton.connect("clicked()", lambda: work.attempt(self.install))
        ui.checkButton.connect("clicked()", lambda: work.attempt(self.check))
        ui.modelSelector.connect("currentIndexChanged(int)", lambda _index: chosen())
        ui.deviceSelector.connect("currentIndexChanged(int)", lambda _index: chosen())
        self.check()
        ui.setUpSection.collapsed = self.ready

    def check(self) -> None:
        """Look what is installed."""
        found = needs(self._file)
        self.ready = all(need.fits for need in found)
        self._ui.setUpLabel.text = summary(found)
        self._ui.installButton.enabled = not self.ready
        self.models.look()
        self._encodings.look()

    def refresh(self) -> None:
        self._ui.deviceLabel.text = self._work.loader.device_text or _(
            "What computes is shown here once a model has been loaded."
        )
        for selector in (self._ui.modelSelector, self._ui.deviceSelector):
            selector.enabled = not self._work.busy
        self.models.refresh()
        if not self._ui.setUpSection.collapsed:
            self._encodings.look()

    def choice(self) -> tuple[str, str]:
        """Name of the model and of the device."""
        return value_of(self._ui.modelSelector), value_of(self._ui.deviceSelector) or "auto"

    def _offer_models(self, choices: list[tuple[str, str]], new: str) -> None:
        """new: a model that has just been installed, to be used from now on; "" for none."""
        before = self.choice()
        fill(self._ui.modelSelector, choices)
        if new in [name for _title, name in choices]:
            choose(self._ui.modelSelector, new)
        if self.choice() != before:
            self._chosen()

    def install(self) -> None:
        """Install what is missing. The user is asked first; on a No nothing happens."""
        missing = [need.requirement for need in needs(self._file) if not need.fits]
        rest = [str(requirement) for requirement in missing if requirement is not TORCH]
        old_torch_is_loaded = TORCH in missing and "torch" in sys.modules
        try:
            if TORCH in missing and not _install_torch():
                return
            if rest:
                _install_packages(self._file, rest)
        finally:
            self.check()
        if old_torch_is_loaded:
            self._work.say(_("PyTorch was updated, but Slicer still holds the older one. Restart Slicer now."))


def _install_torch() -> bool:
    """False where the user said No: SlicerPyTorch asks by itself, naming what it would install."""
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise UserError(
            _(
                "The extension PyTorch is missing. Install it with the Extensions Manager, restart Slicer, and come "
                "back here."
            )
        ) from error
    try:
        with _failures_told():
            # Without a version, pip is content with an older torch that is installed.
            installed = PyTorchUtils.PyTorchUtilsLogic().installTorch(
                askConfirmation=True, torchVersionRequirement=str(TORCH.specifier)
            )
    except (ImportError, OSError) as error:  # it imports torch at the end
        raise UserError(package_not_loaded(error)) from error
    return installed is not None


def _install_packages(requirements_file: Path, names: list[str]) -> None:
    question = _("Install these Python packages into Slicer?\n\n{names}").format(names="\n".join(names))
    if not slicer.util.confirmYesNoDisplay(question):
        return
    with _failures_told():
        try:
            from slicer.packaging import load_requirements, pip_ensure
        except ModuleNotFoundError:  # before Slicer 5.11
            slicer.util.pip_install(names)
            return
        # Its own question ends in a RuntimeError on a No, as failures do.
        pip_ensure(load_requirements(str(requirements_file)), prompt_install=False, requester="SAMUNetSlicer")


@contextmanager
def _failures_told() -> Iterator[None]:
    """What Slicer's installers raise, as a message that says what to do."""
    try:
        yield
    except (RuntimeError, CalledProcessError) as error:
        raise UserError(
            _(
                "The installation failed. The Python console (View > Python Console) shows what pip said. Check the "
                "network and, where there is one, the proxy, then try again. If files were in use, restart Slicer "
                "first."
            )
        ) from error
