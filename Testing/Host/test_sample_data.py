"""The example in Slicer's module Sample Data: by its button and by script, from the file that comes with the module."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest


@pytest.fixture
def sample_data(user):
    """The module SampleData, in which the example is registered; nothing of it is in the cache."""
    import SampleData
    import slicer

    from SAMUNetSlicerLib.widgets.sample_data import example_file

    slicer.app.startupCompleted.emit()
    cached = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()) / example_file().name
    cached.unlink(missing_ok=True)
    return SampleData


def test_the_example_is_offered_once(sample_data):
    import slicer

    slicer.app.startupCompleted.emit()
    assert [s.sampleName for s in slicer.modules.sampleDataSources["SAMUNetSlicer"]] == ["SAMUNetAbdomenCT"]


def test_the_stated_checksum_is_the_files(sample_data):
    import slicer

    from SAMUNetSlicerLib.widgets.sample_data import example_file

    (source,) = slicer.modules.sampleDataSources["SAMUNetSlicer"]
    assert source.checksums == f"SHA256:{hashlib.sha256(example_file().read_bytes()).hexdigest()}"


@pytest.mark.parametrize("way", ["downloadSample", "press_button"])
def test_the_example_loads_by_script_and_by_button(sample_data, way):
    node = getattr(sample_data, way)("SAMUNetAbdomenCT")
    assert node.GetName() == "SAMUNetAbdomenCT"
    assert node.GetImageData().GetDimensions() == (256, 256, 20)
    assert node.GetStorageNode() is None


def test_an_old_copy_in_the_cache_is_replaced(sample_data):
    import slicer

    from SAMUNetSlicerLib.widgets.sample_data import example_file

    cached = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()) / example_file().name
    cached.write_bytes(b"of another version")
    assert sample_data.downloadSample("SAMUNetAbdomenCT").GetImageData().GetDimensions() == (256, 256, 20)
    assert cached.read_bytes() == example_file().read_bytes()
