"""Where SimpleITK's images lie (LPS), as a grid of ours (RAS), and back."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .geometry import LPS_TO_RAS, GridGeometry


def geometry_of_image(image: sitk.Image) -> GridGeometry:
    """The grid of a 2D or 3D image; a picture lies in the axial plane, its normal 1 mm long.

    Raises ValueError for an image without a usable position and spacing.
    """
    dimension = image.GetDimension()
    ijk_to_lps = np.eye(4)
    direction = np.reshape(image.GetDirection(), (dimension, dimension))
    ijk_to_lps[:dimension, :dimension] = direction * image.GetSpacing()
    ijk_to_lps[:dimension, 3] = image.GetOrigin()
    shape_kji = (1,) * (3 - dimension) + image.GetSize()[::-1]
    return GridGeometry(shape_kji, LPS_TO_RAS @ ijk_to_lps)


def empty_image(geometry: GridGeometry, pixel_id: int) -> sitk.Image:
    """An image of zeros on a grid."""
    image = sitk.Image([int(n) for n in geometry.size_ijk], pixel_id)
    ijk_to_lps = LPS_TO_RAS @ geometry.ijk_to_ras
    image.SetOrigin(ijk_to_lps[:3, 3].tolist())
    image.SetSpacing(geometry.spacing_ijk.tolist())
    image.SetDirection((ijk_to_lps[:3, :3] / geometry.spacing_ijk).ravel().tolist())
    return image
