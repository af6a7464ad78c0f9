import json

import numpy as np
import pytest

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.checkpoints.loading import LoadedModel
from SAMUNetSlicerLib.cli import cache, main, segment
from SAMUNetSlicerLib.errors import ExitCode
from SAMUNetSlicerLib.inference.encoding.disk_cache import DiskCache
from SAMUNetSlicerLib.volumes.files.markups_writing import write_markups
from SAMUNetSlicerLib.volumes.prompts import PointPrompt, SegmentPrompts

BASIC = ["segment", "volume.nrrd", "--window=0:200", "--engine=torch", "--points", "points.mrk.json"]


@pytest.fixture
def network():
    return BrightRegionNetwork()


@pytest.fixture
def folder(tmp_path, monkeypatch, network):
    """A small volume with a bright block and a point in it; what is kept goes into a folder of the test."""
    import SimpleITK as sitk

    voxels = np.zeros((4, 40, 50), dtype=np.int16)
    voxels[:, 10:30, 15:35] = 200
    voxels[:, 0, :4] = 50 * np.arange(4)[:, None]  # equal pictures would have one encoding
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / "volume.nrrd"))
    write_markups(tmp_path / "points.mrk.json", [SegmentPrompts("block", points=(PointPrompt((-25.0, -20.0, 2.0)),))])
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "kept"
    model = LoadedModel(network, "bright_region", "ab" * 32, "fake", "none")
    monkeypatch.setattr(segment, "load_network", lambda *args, **kwargs: model)
    for module in (segment, cache):
        monkeypatch.setattr(module, "default_folder", lambda: kept)
    return kept


def test_nothing_is_kept_unless_asked_for(folder):
    assert main([*BASIC, "-o", "out.seg.nrrd"]) == ExitCode.OK
    assert not folder.exists()


def test_a_second_run_encodes_nothing_and_clear_removes_all(folder, network, capsys):
    assert main([*BASIC, "-o", "one.seg.nrrd", "--disk-cache"]) == ExitCode.OK
    encoded = network.encoded
    assert encoded >= 4
    assert main([*BASIC, "-o", "two.seg.nrrd", "--disk-cache"]) == ExitCode.OK
    assert network.encoded == encoded
    capsys.readouterr()
    assert main(["cache", "info", "--json"]) == ExitCode.OK
    facts = json.loads(capsys.readouterr().out)
    assert facts["encodings"] == encoded
    assert 0 < facts["bytes"] <= facts["limit_bytes"]
    assert main(["cache", "info"]) == ExitCode.OK
    assert "patient data" in capsys.readouterr().out
    assert main(["cache", "clear"]) == ExitCode.OK
    assert len(DiskCache(folder)) == 0


def test_the_help_says_that_it_is_patient_data(capsys):
    with pytest.raises(SystemExit):
        main(["segment", "--help"])
    assert "patient" in " ".join(capsys.readouterr().out.split())
