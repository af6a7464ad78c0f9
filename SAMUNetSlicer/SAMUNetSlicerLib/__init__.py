"""SAMUNetSlicer's library: prompted segmentation of 3D volumes with SAM-UNet, with or without Slicer.

Rooms, in the order in which data passes them (imports point only backwards along this line): networks, checkpoints,
inference, volumes, learning, evaluation, scene, widgets; above all rooms the command line and the demo.
"""

from .project import VERSION as __version__

__all__ = ["__version__"]
