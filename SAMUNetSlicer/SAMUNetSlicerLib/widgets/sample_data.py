"""The example of the tutorial, offered in Slicer's module Sample Data. It comes with the extension: works offline."""

from __future__ import annotations

from pathlib import Path

CATEGORY = "SAMUNetSlicer"
NAME = "SAMUNetAbdomenCT"
_FILE = "ct_abdomen_20_slices.nrrd"


def example_file() -> Path:
    """20 slices of a CT of the abdomen; where they come from stands beside them."""
    return Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / _FILE


def register(thumbnail: Path) -> None:
    """Add the example to Sample Data; only once, however often it is called."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        thumbnailFileName=str(thumbnail),
        uris="",
        fileNames=_FILE,
        nodeNames=NAME,
        customDownloader=load,
    )


def load(_source=None):
    """Load the example; returns the volume node."""
    import slicer

    return slicer.util.loadVolume(str(example_file()), {"name": NAME})
