"""The panel's loader: a model comes in short steps, ready to answer, with what the user has chosen."""

from __future__ import annotations

import pytest
import torch

from fakes import Done
from requirements_guard import need
from SAMUNetSlicerLib.errors import ModelError
from SAMUNetSlicerLib.inference import opening
from SAMUNetSlicerLib.inference.jobs import Job
from SAMUNetSlicerLib.widgets.controllers.breathing import Breather, Interrupted
from SAMUNetSlicerLib.widgets.controllers.models import ModelLoader


class Endless(Job):
    """A conversion that goes on until it is cancelled."""

    cancelled = False

    def poll(self) -> bool:
        return False

    def result(self):
        raise AssertionError("nobody may wait for it")

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def conversion(monkeypatch, tmp_path):
    """Nothing is converted yet; conversion(job): what converting comes to."""
    monkeypatch.setattr(opening, "kept_conversions_folder", lambda: tmp_path / "conversions")

    def set_job(job: Job) -> None:
        monkeypatch.setattr(opening, "ConversionJob", lambda source: job)

    return set_job


def test_a_model_is_loaded_in_many_turns_of_the_window(conversion, tmp_path, monkeypatch):
    monkeypatch.setattr("SAMUNetSlicerLib.inference.jobs.TURN_S", 1e-9)  # however quick the machine is
    conversion(Done(False))  # torch does the work then, which is quick to set up
    told, breaths = [], []
    loader = ModelLoader(told.append, Breather(lambda: breaths.append(1)))
    loader.keep_encodings(tmp_path / "encodings")
    predictor, identity = loader.load("lite_medsam", "cpu")
    assert identity.name == "lite_medsam"
    assert len(breaths) > 5
    assert loader.device_text
    assert predictor.planes.on_disk.cache.folder == tmp_path / "encodings"
    loader.keep_encodings(None)
    assert predictor.planes.on_disk is None


def test_a_model_too_large_for_the_card_is_said_to_compute_where_it_does(monkeypatch):
    def too_large(network, device):
        if torch.device(device).type == "meta":  # stands in for a graphics card
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return network

    monkeypatch.setattr(torch.nn.Module, "to", too_large)
    told = []
    loader = ModelLoader(told.append, Breather(lambda: None))
    monkeypatch.setattr(loader, "_usable", lambda _device: torch.device("meta"))
    predictor, _ = loader.load("lite_medsam", "cpu")
    assert predictor.planes.device.type == "cpu"
    assert "processor" in loader.device_text
    assert "not enough memory" in told[0]


def test_esc_stops_the_conversion(conversion):
    job = Endless()
    conversion(job)
    need("openvino")  # nothing is converted without it
    turns = []
    breather = Breather(lambda: turns.append(1))
    with breather.turn(lambda: len(turns) > 600), pytest.raises(Interrupted):
        ModelLoader(lambda _text: None, breather).load("lite_medsam", "cpu")
    assert job.cancelled


def test_a_missing_model_is_told_as_before():
    with pytest.raises(ModelError, match="no_such_model"):
        ModelLoader(lambda _text: None, Breather(lambda: None)).load("no_such_model", "cpu")
