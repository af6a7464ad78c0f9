"""Where model files stand: those that ship with the program and those that the user has added."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from .. import project

# Lets a site keep one folder of models for many users, and tests keep away from the user's own.
MODELS_FOLDER_VARIABLE = "SAMUNETSLICER_MODELS"


def resources_folder() -> Path:
    """The folder `Resources`: beside the library in the source tree and in Slicer, inside it in a wheel."""
    library = Path(__file__).resolve().parents[1]
    beside = library.parent / "Resources"
    return beside if (beside / "Weights").is_dir() else library / "Resources"


def weights_folder() -> Path:
    """Weights that ship with the program. Only read."""
    return resources_folder() / "Weights"


def user_models_folder() -> Path:
    """Models that the user has downloaded or installed. May not exist yet.

    The platform's folder for user data, or the one that the environment variable SAMUNETSLICER_MODELS names.
    """
    chosen = os.environ.get(MODELS_FOLDER_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_data_path(project.NAME, appauthor=False) / "models"
