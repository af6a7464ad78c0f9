"""Label images of another program, such as references, brought to a volume's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import InputError
from ..geometry import GridGeometry
from ..image_geometry import empty_image
from ..itk_names import itk_name
from ..nifti_length import lacks_voxels


def read_labels_on_grid(path: Path, geometry: GridGeometry) -> np.ndarray:
    """(K, J, I) labels of a 3D image on a volume's grid, by nearest neighbour; 0 where the image does not reach.

    The image's own grid may be flipped, shifted or of another spacing. Raises InputError for a file that is not a
    readable 3D image with one number a voxel.
    """
    try:
        cut_off = lacks_voxels(path)
        image = sitk.ReadImage(itk_name(path))
    except RuntimeError as error:
        raise InputError(f"The labels {path.name} cannot be read.") from error
    if cut_off:
        raise InputError(f"The labels {path.name} are cut off or damaged. Copy or export them again.")
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"The labels {path.name} are not a 3D label image.")
    grid = empty_image(geometry, image.GetPixelID())
    return sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkNearestNeighbor))
