"""Converting a network in a process of its own: what comes of it, and that it can be stopped."""

import os
import subprocess
import sys
import time

import pytest
import torch

from fakes import BrightRegionNetwork, Done
from requirements_guard import need
from SAMUNetSlicerLib.checkpoints.loading import LoadedModel, load_network
from SAMUNetSlicerLib.inference import opening
from SAMUNetSlicerLib.inference.encoding import conversion_process
from SAMUNetSlicerLib.inference.encoding.conversion_process import ConversionJob
from SAMUNetSlicerLib.inference.encoding.encoders import TorchEncoder
from SAMUNetSlicerLib.inference.encoding.engines import EngineChoice, build_encode, kept_conversions_folder
from SAMUNetSlicerLib.inference.encoding.openvino_encoder import OpenVinoEncoder
from SAMUNetSlicerLib.inference.jobs import CancelledError, SteppedJob


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Lets another program take the place of Python: python(text of a shell script)."""

    def put(script: str) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(conversion_process, "_python", lambda: str(program))

    return put


needs_shell = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")


@needs_shell
@pytest.mark.parametrize(("script", "went_well"), [("exit 0", True), ("exit 3", False), ("kill -9 $$", False)])
def test_the_result_tells_whether_it_went_well(python, script, went_well):
    python(script)
    assert ConversionJob("any").result() is went_well


def test_a_program_that_cannot_be_started_is_no_success(monkeypatch, tmp_path):
    monkeypatch.setattr(conversion_process, "_python", lambda: str(tmp_path / "nothing"))
    job = ConversionJob("any")
    assert job.poll()
    assert job.result() is False
    job.cancel()


@needs_shell
def test_it_is_stopped_at_once(python):
    python("exec sleep 60")
    job = ConversionJob("any")
    assert not job.poll()
    began = time.monotonic()
    job.cancel()
    assert job.poll()
    assert job._process.returncode is not None, "the process is gone"
    assert time.monotonic() - began < 30
    with pytest.raises(CancelledError):
        job.result()


@needs_shell
def test_what_it_has_started_is_stopped_with_it(python, tmp_path):
    """Slicer's Python is a launcher: the process that converts is its child."""
    python(f"sleep 60 & echo $! > {tmp_path}/started; mv {tmp_path}/started {tmp_path}/pid; wait")
    job = ConversionJob("any")
    while not (tmp_path / "pid").exists():
        time.sleep(0.01)
    job.cancel()
    assert _ends(int((tmp_path / "pid").read_text()))


def _ends(process_id):
    for _again in range(500):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        if "Z" in subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True).stdout:
            return True
        time.sleep(0.01)
    return False


def test_a_neighbour_that_finishes_just_now_does_not_stop_a_conversion(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.glob", lambda folder, _pattern: [folder / ".new-gone", folder / ".new-old"])
    (tmp_path / ".new-old").mkdir()
    os.utime(tmp_path / ".new-old", (0, 0))
    conversion_process._remove_left_overs(tmp_path)
    assert not (tmp_path / ".new-old").exists()


def test_slicers_own_python_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr(conversion_process.shutil, "which", {"PythonSlicer": "/slicer/bin/PythonSlicer"}.get)
    assert conversion_process._python() == "/slicer/bin/PythonSlicer"
    monkeypatch.setattr(conversion_process.shutil, "which", lambda name: None)
    assert conversion_process._python() == sys.executable


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no variable names the folder for caches")
def test_what_the_process_keeps_is_what_the_window_reads(tmp_path, monkeypatch):
    need("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = load_network("sam_unet_tiny")
    kept_as = kept_conversions_folder() / model.identity
    assert tmp_path in kept_as.parents
    encoder = build_encode(model.network, torch.device("cpu"), EngineChoice.OPENVINO, kept_as)
    assert not encoder.prepare_from_kept()
    assert ConversionJob("sam_unet_tiny").result()
    blobs = set(kept_as.glob("*.blob"))
    assert encoder.prepare_from_kept()
    encoder.prepare_ahead()
    assert blobs, "compiled as well"
    assert set(kept_as.glob("*.blob")) == blobs, "and not compiled again"


def test_where_the_conversion_fails_torch_computes_and_it_is_told(monkeypatch, tmp_path):
    need("openvino")
    monkeypatch.setattr(opening, "kept_conversions_folder", lambda: tmp_path)
    monkeypatch.setattr(opening, "ConversionJob", lambda source: Done(False))
    told = []
    steps = opening.open_in_steps(load_network("lite_medsam"), "lite_medsam", torch.device("cpu"), told.append)
    predictor = SteppedJob(steps).result()
    assert isinstance(predictor.encode_planes, TorchEncoder)
    assert "PyTorch computes" in " ".join(told)


def test_a_converted_network_is_not_converted_again(monkeypatch, tmp_path):
    need("openvino")
    monkeypatch.setattr(opening, "kept_conversions_folder", lambda: tmp_path)
    monkeypatch.setattr(opening, "ConversionJob", lambda source: pytest.fail("it is there already"))
    prepared = []
    monkeypatch.setattr(opening.OpenVinoEncoder, "prepare_from_kept", lambda encoder: prepared.append(encoder) or True)
    monkeypatch.setattr(opening.OpenVinoEncoder, "prepare_ahead", lambda encoder: prepared.append(encoder))
    steps = opening.open_in_steps(load_network("lite_medsam"), "lite_medsam", torch.device("cpu"))
    assert [SteppedJob(steps).result().encode_planes] * 2 == prepared


@pytest.mark.parametrize("other", ["OpenVINO 2031.1.0, f32, AMD EPYC", "\udcff", None])
def test_a_window_compiles_only_what_a_process_of_its_own_has_tried_out_in_the_same_circumstances(tmp_path, other):
    """Faulty code that OpenVINO generates for a processor would end the window."""
    need("openvino")
    folder = tmp_path / "kept"
    OpenVinoEncoder(BrightRegionNetwork(), folder).try_out()
    assert OpenVinoEncoder(BrightRegionNetwork(), folder).prepare_from_kept()
    if other is None:
        (folder / "works-with.txt").unlink()
    else:
        (folder / "works-with.txt").write_text(other, errors="surrogateescape")
    assert not OpenVinoEncoder(BrightRegionNetwork(), folder).prepare_from_kept()
    assert (folder / "encoder.xml").is_file()
    OpenVinoEncoder(BrightRegionNetwork(), folder).try_out()
    assert OpenVinoEncoder(BrightRegionNetwork(), folder).prepare_from_kept()


@pytest.mark.parametrize("kept", [False, True])
def test_a_damaged_conversion_is_removed_and_made_by_the_process(monkeypatch, tmp_path, kept):
    """Where the process could not keep what it made, torch computes."""
    need("openvino")
    model = LoadedModel(BrightRegionNetwork(), "bright_region", "ab" * 32, "fake", "none")
    folder = tmp_path / model.identity
    OpenVinoEncoder(model.network, folder).try_out()
    (folder / "encoder.xml").write_text("<net")
    asked = []

    def convert(source):
        asked.append((source, folder.exists()))
        if kept:
            OpenVinoEncoder(model.network, folder).try_out()
        return Done(True)

    monkeypatch.setattr(opening, "kept_conversions_folder", lambda: tmp_path)
    monkeypatch.setattr(opening, "ConversionJob", convert)
    told = []
    predictor = SteppedJob(opening.open_in_steps(model, "any", torch.device("cpu"), told.append)).result()
    assert asked == [("any", False)]
    assert isinstance(predictor.encode_planes, OpenVinoEncoder if kept else TorchEncoder)
    assert len(told) == (0 if kept else 1)
