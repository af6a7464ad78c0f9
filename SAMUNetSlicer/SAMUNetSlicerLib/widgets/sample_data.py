"""The example of the tutorial, offered in Slicer's module Sample Data. It comes with the extension: works offline."""

from __future__ import annotations

from pathlib import Path

from .. import project

NAME = "SAMUNetAbdomenCT"
_FILE = "ct_abdomen_20_slices.nrrd"
# Slicer loads a copy in its cache, and fetches the file again only where the copy has another checksum.
_CHECKSUM = "SHA256:8e4216f85482965d57df0af95dd50199ab0810ffe4d70622e028dc7a8f1387f6"


def example_file() -> Path:
    """20 slices of a CT of the abdomen; where they come from stands beside them."""
    return Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / _FILE


def register(thumbnail: Path) -> None:
    """Add the example to Sample Data; only once, however often it is called."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=project.NAME,
        sampleName=NAME,
        thumbnailFileName=str(thumbnail),
        uris=example_file().as_uri(),
        checksums=_CHECKSUM,
        fileNames=_FILE,
        nodeNames=NAME,
    )
