import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_examples import write_bank
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file

from SAMUNetSlicerLib.errors import InputError, ModelError, OutputError
from SAMUNetSlicerLib.learning.data.bank import Bank
from SAMUNetSlicerLib.learning.data.examples import BankExamples
from SAMUNetSlicerLib.learning.data.production import read_sources
from SAMUNetSlicerLib.learning.settings import TrainingSettings, rate_factor, read_settings
from SAMUNetSlicerLib.learning.start import start_from_lite_medsam, start_network
from SAMUNetSlicerLib.learning.state import Average, Named, averaged, load_state, read_step, save_state, write_tensors
from SAMUNetSlicerLib.learning.training import Trainer, train
from SAMUNetSlicerLib.networks.lite_medsam import LiteMedSam
from SAMUNetSlicerLib.networks.sam_unet_tiny import SamUnetTiny

SETTINGS = TrainingSettings(steps=4, images=1, objects=2, rounds=(0.5, 0.5), warm_up=1, checkpoint_every=1)
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def one_thread():
    """Sums over several threads are not added in the same order each time, and Adam magnifies the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def bank(tmp_path):
    write_bank(tmp_path / "bank", looks=2)
    return Bank(tmp_path / "bank")


def build_trainer(bank, settings=SETTINGS):
    torch.manual_seed(0)
    return Trainer(SamUnetTiny(), BankExamples(bank), settings, Fabric(accelerator="cpu", devices=1))


def test_the_loss_falls_on_a_few_looks(bank):
    settings = TrainingSettings(steps=14, images=1, objects=2, rounds=(1.0,), warm_up=1, pretrained_rate=1e-3)
    losses = [report.loss for report in build_trainer(bank, settings).run()]
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


def test_a_step_in_parts_is_the_mean_of_its_parts(bank):
    """Two parts of one look each differ from one part by rounding alone where all parts see the same."""
    single = TrainingSettings(steps=1, images=1, objects=1, rounds=(1.0,), warm_up=1)
    halves = replace(single, accumulation=2)
    one, two = build_trainer(bank, single), build_trainer(bank, halves)
    seen = []
    for trainer in (one, two):
        learn = trainer._learn
        # Every part sees the first part's look and prompts.
        trainer._learn = lambda rng, rounds, learn=learn: learn(np.random.default_rng(5), rounds)
        trainer.optimizer.step = lambda trainer=trainer: seen.append(
            [p.grad.clone() for p in trainer.named.parameters.values() if p.grad is not None]
        )
        next(trainer.run())
    assert len(seen[0]) == len(seen[1]) > 50
    for gradient, other in zip(*seen, strict=True):
        torch.testing.assert_close(other, gradient, rtol=1e-3, atol=1e-6)


def test_training_goes_on_from_weights_of_the_network_itself(tmp_path):
    torch.manual_seed(2)
    network = SamUnetTiny()
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    started = start_network("sam_unet_tiny", tmp_path / "own.safetensors")
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in started.state_dict().items())


def test_the_frozen_encoder_is_neither_trained_nor_stored(bank, tmp_path):
    trainer = build_trainer(bank)
    before = trainer.network.image_encoder.neck[0].weight.clone()
    next(trainer.run())
    assert torch.equal(trainer.network.image_encoder.neck[0].weight, before)
    trainer.save(tmp_path / "checkpoint.safetensors")
    assert not any("image_encoder" in name for name in load_file(tmp_path / "checkpoint.safetensors"))


def test_a_resumed_training_ends_like_an_uninterrupted_one(bank, tmp_path):
    whole = build_trainer(bank)
    list(whole.run())
    first = build_trainer(bank)
    run = first.run()
    next(run), next(run)
    first.save(tmp_path / "checkpoint.safetensors")
    second = build_trainer(bank)
    second.resume(tmp_path / "checkpoint.safetensors")
    assert second.step == 2
    list(second.run())
    for name, value in whole.named.parameters.items():
        torch.testing.assert_close(second.named.parameters[name], value, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(second.average.values[name], whole.average.values[name], rtol=1e-4, atol=1e-6)


def test_the_log_of_a_killed_training_goes_on_without_a_gap_or_a_repetition(bank, tmp_path):
    folder = tmp_path / "run"
    settings = replace(SETTINGS, checkpoint_every=2)

    def killed_after(step):
        def check(trainer):
            if trainer.step == step:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(build_trainer(bank, settings), folder, None, check)

    killed_after(1)  # before the first checkpoint
    killed_after(3)
    (folder / "development.csv").write_text("time,step,box\n10:00:00,2,0.5\n10:00:01,3,0.6\n")
    with (folder / "log.csv").open("a") as file:
        file.write("4,0.5")  # killed while it wrote
    train(build_trainer(bank, settings), folder, None, lambda trainer: None)
    lines = (folder / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "1", "2", "3", "4"]
    assert (folder / "development.csv").read_text() == "time,step,box\n10:00:00,2,0.5\n"


def test_a_training_that_is_killed_while_it_is_measured_is_measured_again(bank, tmp_path):
    settings, measured = replace(SETTINGS, checkpoint_every=1), []

    def killed(trainer):
        if trainer.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(build_trainer(bank, settings), tmp_path / "run", None, killed)
    train(build_trainer(bank, settings), tmp_path / "run", None, lambda trainer: measured.append(trainer.step))
    assert measured == [2, 3, 4]


def test_what_a_resumed_optimizer_remembers_lies_where_its_parameters_do(tmp_path):
    """The device "meta" stands in for a graphics card."""
    path = tmp_path / "checkpoint.safetensors"
    for device in ("cpu", "meta"):
        network = torch.nn.Conv2d(2, 3, 3, device=device).to(memory_format=torch.channels_last)
        named = Named.of(network)
        optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98))
        average = Average(named, 0.9)
        if device == "cpu":
            network(torch.ones(1, 2, 4, 4)).sum().backward()
            optimizer.step()
            save_state(path, named, average, optimizer, 1, "any")
    assert load_state(path, named, average, optimizer) == 1
    for parameter in network.parameters():
        state = optimizer.state[parameter]
        assert state["exp_avg"].device == state["exp_avg_sq"].device == parameter.device
        assert state["exp_avg"].stride() == state["exp_avg_sq"].stride() == parameter.stride()
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()


def test_a_checkpoint_of_something_else_is_refused(bank, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="not a checkpoint of this training"):
        build_trainer(bank).resume(path)


def test_a_full_disk_is_told_and_keeps_the_checkpoint(tmp_path):
    resource = pytest.importorskip("resource", reason="a small disk is simulated by a limit that Windows lacks")
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"earlier")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OutputError, match="could not be written"):
            write_tensors(path, {"any": torch.zeros(1000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"earlier"


def test_training_waits_while_the_pause_file_exists(bank, tmp_path, monkeypatch):
    pause = tmp_path / "pause"
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        pause.unlink()

    monkeypatch.setattr(time, "sleep", sleep)
    pause.touch()
    train(build_trainer(bank), tmp_path / "run", pause, lambda trainer: None)
    assert len(waited) == 1
    assert (tmp_path / "run" / "log.csv").read_text().count("\n") == 1 + SETTINGS.steps


def test_all_processes_pause_when_the_first_does(bank, tmp_path, monkeypatch):
    """Here it saw the file, and this process no longer does."""
    trainer = build_trainer(bank)
    asked = []
    monkeypatch.setattr(trainer.fabric, "broadcast", lambda seen: asked.append(seen) or True)
    train(trainer, tmp_path / "run", tmp_path / "pause", lambda now: None)
    assert asked == [False] * SETTINGS.steps


def test_a_training_is_only_paused_with_a_checkpoint_written(bank, tmp_path, monkeypatch):
    folder, pause = tmp_path / "run", tmp_path / "pause"
    saved = []
    monkeypatch.setattr(
        time, "sleep", lambda seconds: saved.append(read_step(folder / "checkpoint.safetensors")) or pause.unlink()
    )
    settings = replace(SETTINGS, checkpoint_every=100)
    train(build_trainer(bank, settings), folder, pause, lambda now: pause.touch() if now.step == 1 else None)
    assert saved == [2], "the file came while step 1 was measured, after its checkpoint would have been written"


def test_half_checkpoints_of_a_killed_training_are_deleted(bank, tmp_path):
    for name in (".checkpoint.safetensors.0af12ab1", ".tmpTbFbFB", "notes.txt"):
        (tmp_path / name).touch()
    train(build_trainer(bank, replace(SETTINGS, steps=1)), tmp_path, None, lambda now: None)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "checkpoint.safetensors", "log.csv", "notes.txt",
    }  # fmt: skip


def test_the_average_stands_in_only_for_a_while(bank):
    trainer = build_trainer(bank)
    list(trainer.run())
    name, parameter = next(iter(trainer.named.parameters.items()))
    kept = parameter.detach().clone()
    with averaged(trainer.named, trainer.average):
        assert torch.equal(parameter, trainer.average.values[name])
    assert torch.equal(parameter, kept)


def test_the_rate_rises_stays_and_falls():
    settings = TrainingSettings(steps=100, warm_up=10, cool_down=0.4)
    assert rate_factor(0, settings) == pytest.approx(0.1)
    assert rate_factor(10, settings) == rate_factor(59, settings) == 1
    assert rate_factor(80, settings) == pytest.approx((1 + 0.01) / 2)
    assert 0.01 < rate_factor(99, settings) < 0.02


def test_the_rate_is_halved_at_a_milestone_also_where_it_falls():
    settings = TrainingSettings(steps=20, warm_up=0, milestones=(0.5,), cool_down=0.2)
    assert [rate_factor(step, settings) for step in (9, 10, 15)] == [1, 0.5, 0.5]
    assert rate_factor(18, settings) == pytest.approx(0.5 * (1 + 0.01) / 2)


def test_lite_medsam_is_the_start():
    torch.manual_seed(1)
    start = LiteMedSam().state_dict()
    network = SamUnetTiny()
    start_from_lite_medsam(network, start)
    ours = network.state_dict()
    for name, theirs in {
        "image_encoder.neck.0": "image_encoder.neck.0",
        "mask_decoder.quality_token": "mask_decoder.iou_token",
        "mask_decoder.mask_tokens": "mask_decoder.mask_tokens",
        "mask_decoder.upscaling.3": "mask_decoder.output_upscaling.3",
        "mask_decoder.guess_weights.layers.2": "mask_decoder.output_hypernetworks_mlps.0.layers.2",  # of one mask
    }.items():
        assert torch.equal(ours[f"{name}.weight"], start[f"{theirs}.weight"])
    with pytest.raises(ModelError, match="LiteMedSAM"):
        start_from_lite_medsam(network, {"something": torch.zeros(1)})


def test_the_shipped_recipe_can_be_read():
    assert read_settings("sam_unet_tiny").habits.jitter == 0.1


@pytest.mark.parametrize("read", [read_settings, read_sources])
def test_a_configuration_that_is_nowhere_is_told_with_those_that_ship(read):
    with pytest.raises(
        InputError, match="neither a file nor a shipped configuration named 'mine.toml'.* sam_unet_tiny"
    ):
        read("mine.toml")


def command(tmp_path, folder, processes=1):
    program = [sys.executable, "-m"]
    if processes > 1:
        program = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    arguments = {
        "--bank": tmp_path / "bank",
        "--from": tmp_path / "start.safetensors",
        "--folder": folder,
        "--processes": processes,
    }
    flat = [str(part) for pair in arguments.items() for part in pair]
    return [*program, "SAMUNetSlicerLib.cli", "train", str(tmp_path / "config.toml"), *flat]


@pytest.fixture
def prepared(bank, tmp_path):
    save_file(LiteMedSam().state_dict(), tmp_path / "start.safetensors")
    (tmp_path / "config.toml").write_text(
        "[training]\nsteps = 4\nimages = 1\nobjects = 1\nrounds = [1.0]\nwarm_up = 1\ncheckpoint_every = 1\n"
    )
    return tmp_path


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "SAMUNetSlicer"), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_like_an_uninterrupted_one(prepared):
    subprocess.run(command(prepared, prepared / "whole"), env=ENVIRONMENT, check=True)
    process = subprocess.Popen(command(prepared, prepared / "killed"), env=ENVIRONMENT)
    checkpoint = prepared / "killed" / "checkpoint.safetensors"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command(prepared, prepared / "killed"), env=ENVIRONMENT, check=True)
    whole, killed = load_file(prepared / "whole" / "checkpoint.safetensors"), load_file(checkpoint)
    for name, tensor in whole.items():
        torch.testing.assert_close(killed[name], tensor, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_two_processes_train_one_network(prepared):
    subprocess.run(command(prepared, prepared / "two", processes=2), env=ENVIRONMENT, check=True)
    state = load_file(prepared / "two" / "checkpoint.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in state.values())
    assert (prepared / "two" / "log.csv").read_text().count("\n") == 5  # one process writes
