from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from test_chains import fill

from SAMUNetSlicerLib.checkpoints.loading import load_network
from SAMUNetSlicerLib.errors import ModelError
from SAMUNetSlicerLib.learning.chain_bank import ChainBank, EncodedChain
from SAMUNetSlicerLib.learning.export import export_weights
from SAMUNetSlicerLib.learning.following import Beginning, ChainExamples, FollowerTrainer, draw_walk, measure_following
from SAMUNetSlicerLib.learning.settings import Part, TrainingSettings, read_settings
from SAMUNetSlicerLib.learning.start import FOLLOWER, start_network
from SAMUNetSlicerLib.learning.training import CHECKPOINT, train
from SAMUNetSlicerLib.networks.sam_unet_tiny import SamUnetTiny

SETTINGS = TrainingSettings(part=Part.FOLLOWER, steps=3, images=1, objects=1, warm_up=1, checkpoint_every=1)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums over several threads are not added in the same order each time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def weights(tmp_path):
    """Finished weights from before there was a follower."""
    torch.manual_seed(0)
    state = {n: t for n, t in SamUnetTiny().state_dict().items() if not n.startswith(FOLLOWER)}
    save_file(state, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


@pytest.fixture
def bank(tmp_path):
    fill(tmp_path / "bank", count=1, length=2)
    return ChainBank(tmp_path / "bank")


def build_trainer(weights, bank, settings=SETTINGS):
    torch.manual_seed(1)
    network = start_network("sam_unet_tiny", weights, settings.part)
    return FollowerTrainer(network, ChainExamples(bank), settings, Fabric(accelerator="cpu", devices=1))


def chain_with(areas):
    """A square of so many pixels a side on each plane."""
    parts = np.zeros((len(areas), 256, 256), np.uint8)
    for plane, side in enumerate(areas):
        parts[plane, 100 : 100 + side, 100 : 100 + side] = 1
    return EncodedChain({}, parts, ((1,),), "squares")


def test_a_walk_begins_where_the_object_is_and_ends_one_plane_behind_it():
    chain = chain_with([0, 40, 40, 0, 0])
    ways = {draw_walk(0, chain, np.random.default_rng(s), Beginning(skipping=0)).planes for s in range(20)}
    assert ways == {(1, 2, 3), (2, 1, 0)}


def test_an_object_on_the_last_plane_alone_makes_walks_the_other_way_only():
    chain = chain_with([0, 0, 40])
    ways = [draw_walk(0, chain, np.random.default_rng(s), Beginning(skipping=0)) for s in range(20)]
    assert {walk.planes for walk in ways if walk is not None} == {(2, 1)}
    assert None in ways


def test_exact_walks_begin_with_the_true_mask_and_others_near_it():
    chain = chain_with([40, 40])
    exact = draw_walk(0, chain, np.random.default_rng(0), Beginning(exact=1.0))
    assert ((exact.first > 0) == (exact.truths[0] > 0.5)).all()
    rough = [draw_walk(0, chain, np.random.default_rng(s), Beginning(exact=0.0)) for s in range(8)]
    wrong = [((walk.first > 0) != (walk.truths[0] > 0.5)).sum() for walk in rough]
    assert 0 < max(wrong) < 400


def test_the_follower_alone_is_trained(weights, bank):
    trainer = build_trainer(weights, bank)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    reports = list(trainer.run())
    assert [report.step for report in reports] == [1, 2, 3]
    changed = {n for n, value in trainer.network.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert all(name.startswith(FOLLOWER) for name in changed)


def test_the_loss_falls_on_a_few_chains(weights, bank):
    settings = replace(SETTINGS, steps=24, objects=2, rate=2e-3)
    losses = [report.loss for report in build_trainer(weights, bank, settings).run()]
    assert sum(losses[-6:]) < 0.85 * sum(losses[:6])


def test_a_training_that_was_stopped_ends_as_one_that_was_not(weights, bank, tmp_path):
    whole = build_trainer(weights, bank)
    train(whole, tmp_path / "whole", None, lambda _trainer: None)
    first = build_trainer(weights, bank)
    run = first.run()
    next(run)
    (tmp_path / "parts").mkdir()
    first.save(tmp_path / "parts" / CHECKPOINT)
    second = build_trainer(weights, bank)
    train(second, tmp_path / "parts", None, lambda _trainer: None)
    one, other = (load_file(tmp_path / folder / CHECKPOINT) for folder in ("whole", "parts"))
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value)


def test_exported_weights_answer_as_before_and_follow(weights, bank, tmp_path):
    trainer = build_trainer(weights, bank)
    train(trainer, tmp_path / "run", None, lambda _trainer: None)
    export_weights(tmp_path / "run" / CHECKPOINT, weights, tmp_path / "new.safetensors", {})
    loaded = load_network(str(tmp_path / "new.safetensors")).network
    assert loaded.follows
    start = load_file(weights)
    for name, value in loaded.state_dict().items():
        if name in start:
            torch.testing.assert_close(value.float(), start[name].float(), rtol=1e-3, atol=1e-6)
    assert measure_following(loaded, bank).keys() == {"step 1", "step 2", "step 3"}


def test_a_follower_is_not_trained_on_weights_that_are_not_finished(tmp_path):
    save_file({"something": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="finished weights"):
        start_network("sam_unet_tiny", tmp_path / "other.safetensors", Part.FOLLOWER)
    with pytest.raises(ModelError, match="none of sam_unet_res34"):
        start_network("sam_unet_res34", tmp_path / "other.safetensors", Part.FOLLOWER)


def test_the_shipped_configuration_trains_the_follower():
    assert read_settings("sam_unet_tiny_follower").part is Part.FOLLOWER
    assert read_settings("sam_unet_tiny").part is Part.PROMPTED
