"""What is installed of what the module needs, without importing any of it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from .texts import _

TORCH = Requirement("torch>=2.4")


@dataclass(frozen=True)
class Need:
    """installed: the version that is there, "" for none. fits: whether it is there and new enough."""

    requirement: Requirement
    installed: str

    @property
    def name(self) -> str:
        return self.requirement.name

    @property
    def fits(self) -> bool:
        return bool(self.installed) and self.requirement.specifier.contains(self.installed, prereleases=True)

    def text(self) -> str:
        """For example "torch 2.13.0", or "torch: missing"."""
        if not self.installed:
            return _("{package}: missing").format(package=self.name)
        text = f"{self.name} {self.installed}"
        return text if self.fits else f"{text} ({_('needed')}: {self.requirement.specifier})"


def needs(requirements_file: Path) -> list[Need]:
    """torch, then every line of the file, in its order."""
    lines = requirements_file.read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return [Need(requirement, _installed(requirement.name)) for requirement in (TORCH, *wanted)]


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def summary(found: list[Need]) -> str:
    """For the panel."""
    missing = [need.text() for need in found if not need.fits]
    if not missing:
        present = ", ".join(need.text() for need in found)
        return _("Everything that is needed is installed: {packages}.").format(packages=present)
    return _("Not ready yet. {packages}. Nothing is downloaded or installed before you say so.").format(
        packages=", ".join(missing)
    )
