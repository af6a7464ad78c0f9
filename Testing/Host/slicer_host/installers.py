"""Slicer's installers, with their signatures, questions and errors; what they would install is only written down."""

from __future__ import annotations

import types
from subprocess import CalledProcessError


class Installers:
    """asked: the questions so far. answer: what the user says to them. installed: what was.

    fails: whether pip does. import_error: what importing PyTorch raises after its installation.
    """

    def __init__(self, monkeypatch, old_slicer: bool = False) -> None:
        import sys

        import slicer

        self.asked: list[str] = []
        self.installed: list = []
        self.answer, self.fails = True, False
        self.import_error: Exception | None = None
        for question in ("confirmYesNoDisplay", "confirmOkCancelDisplay"):
            monkeypatch.setattr(slicer.util, question, self._ask)
        monkeypatch.setattr(slicer.util, "pip_install", self._pip)
        packaging = types.ModuleType("slicer.packaging")
        packaging.load_requirements = lambda path: path
        packaging.pip_ensure = self._pip_ensure
        # Slicer has slicer.packaging from 5.11 on.
        monkeypatch.setitem(sys.modules, "slicer.packaging", None if old_slicer else packaging)
        utils = types.ModuleType("PyTorchUtils")
        utils.PyTorchUtilsLogic = lambda: types.SimpleNamespace(installTorch=self._install_torch)
        monkeypatch.setitem(sys.modules, "PyTorchUtils", utils)

    def _ask(self, text, windowTitle=None, parent=None, **keywords) -> bool:
        self.asked.append(text)
        return self.answer

    def _pip(self, requirements):
        if self.fails:
            raise CalledProcessError(1, ["python", "-m", "pip", "install"])
        self.installed.append(requirements)

    def _pip_ensure(
        self,
        requirements,
        constraints=None,
        skip_packages=None,
        prompt_install=True,
        prompt_restart=True,
        requester=None,
        skip_in_testing=True,
        show_progress=True,
    ):
        if prompt_install and not self._ask("Python packages need to be installed."):
            raise RuntimeError("User declined package installation")
        self._pip((requirements, requester))

    def _install_torch(
        self,
        askConfirmation=False,
        forceComputationBackend=None,
        torchVersionRequirement=None,
        torchvisionVersionRequirement=None,
    ):
        """The module torch; None on a No."""
        wanted = f"torch{torchVersionRequirement or ''}"
        if askConfirmation and not self._ask(f"PyTorch will be downloaded and installed: {wanted}."):
            return None
        self._pip(wanted)
        if self.import_error is not None:
            raise self.import_error
        return types.ModuleType("torch")
