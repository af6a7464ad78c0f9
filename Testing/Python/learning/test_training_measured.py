"""A whole training on a bank: how it starts, and how it is measured on held-back looks."""

import csv

import pytest
import torch
from learning_examples import write_bank
from safetensors.torch import load_file

from SAMUNetSlicerLib.errors import ModelError
from SAMUNetSlicerLib.learning import command
from SAMUNetSlicerLib.learning.command import Files, run_training
from SAMUNetSlicerLib.networks.sam_unet_tiny import SamUnetTiny

WEIGHT = "mask_decoder.plain_correction.weight"


def test_the_averaged_weights_are_measured_at_times_and_at_the_end(tmp_path, monkeypatch):
    for name in ("bank", "held"):
        write_bank(tmp_path / name)
    (tmp_path / "config.toml").write_text(
        "[training]\nsteps = 3\nimages = 1\nobjects = 1\nrounds = [1.0]\nwarm_up = 0\n", encoding="utf-8"
    )
    measured = []

    def measure(network, held):
        measured.append(network.state_dict()[WEIGHT].cpu().clone())
        return {"box": len(held) / 4}

    monkeypatch.setattr(command, "start_network", lambda family, start: SamUnetTiny())
    monkeypatch.setattr(command, "measure", measure)
    run = tmp_path / "run"
    files = Files(tmp_path / "start", run, bank=tmp_path / "bank", development_bank=tmp_path / "held")
    run_training(tmp_path / "config.toml", files, measure_every=2)
    with (run / "development.csv").open(encoding="utf-8") as stream:
        assert [(row["step"], row["box"]) for row in csv.DictReader(stream)] == [("2", "0.5"), ("3", "0.5")]
    state = load_file(run / "checkpoint.safetensors")
    assert torch.equal(measured[-1], state[f"average.{WEIGHT}"])
    assert not torch.equal(measured[-1], state[f"model.{WEIGHT}"])
    assert (run / "curve.png").exists()


def test_all_processes_start_with_the_same_random_weights(tmp_path, monkeypatch):
    """Each builds the network by itself, and only gradients are shared."""
    drawn = []

    def start(family, path):
        drawn.append(torch.rand(1).item())
        raise ModelError("enough")

    monkeypatch.setattr(command, "start_network", start)
    for seed in (1, 2):
        torch.manual_seed(seed)
        with pytest.raises(ModelError, match="enough"):
            run_training("sam_unet_tiny", Files(tmp_path / "start", tmp_path / "run"))
    assert drawn[0] == drawn[1]
