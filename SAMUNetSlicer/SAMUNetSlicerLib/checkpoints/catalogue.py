"""The list of models that the program knows by name: Resources/Models/catalogue.json (with its schema beside it)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .places import resources_folder

# What is used unless the user says otherwise.
DEFAULT_MODEL = "sam_unet_tiny"


@dataclass(frozen=True)
class ModelFile:
    """The file of a model as its authors published it.

    size in bytes, None where not known; md5 where the authors state no SHA-256; without a url it can only be installed
    from a file that the user has; shipped: it comes with the program.
    """

    name: str
    size: int | None
    sha256: str | None
    md5: str | None = None
    url: str | None = None
    shipped: bool = False

    @property
    def digest(self) -> tuple[str, str] | None:
        """Algorithm (of hashlib) and expected value; None for a file that was never published with one."""
        if self.sha256:
            return "sha256", self.sha256
        return ("md5", self.md5) if self.md5 else None


@dataclass(frozen=True)
class CatalogueEntry:
    """One model. input_size in pixels; source: publication and origin of the weights."""

    name: str
    title: str
    family: str
    input_size: int
    trained_prompts: tuple[str, ...]
    licence: str
    source: str
    file: ModelFile


@dataclass(frozen=True)
class Catalogue:
    """All known models."""

    models: tuple[CatalogueEntry, ...]

    def get(self, name: str) -> CatalogueEntry | None:
        """The model of that name, or None."""
        return next((entry for entry in self.models if entry.name == name), None)

    def spelled(self, name: str) -> str:
        """The name as the catalogue writes it, where only case differs: Windows and macOS see one file in both."""
        return next((entry.name for entry in self.models if entry.name.casefold() == name.casefold()), name)

    def by_digest(self, algorithm: str, digest: str) -> CatalogueEntry | None:
        """The model whose file was published with that hash, or None."""
        return next((entry for entry in self.models if entry.file.digest == (algorithm, digest)), None)


def read_catalogue() -> Catalogue:
    """The catalogue that ships with the program."""
    content = json.loads((resources_folder() / "Models" / "catalogue.json").read_text(encoding="utf-8"))
    return Catalogue(tuple(_entry(**model) for model in content["models"]))


def _entry(file: dict, trained_prompts: list[str], **fields) -> CatalogueEntry:
    return CatalogueEntry(**fields, trained_prompts=tuple(trained_prompts), file=ModelFile(**file))
