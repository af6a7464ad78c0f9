from dataclasses import replace

import numpy as np
import pytest
import torch
from learning_examples import disc, fake_encode, write_bank
from lightning_fabric import Fabric
from safetensors.torch import save_file

from SAMUNetSlicerLib.learning.bank import Bank, ChainBank, shard_path, write_shard
from SAMUNetSlicerLib.learning.command import Files, run_training
from SAMUNetSlicerLib.learning.crops import Look
from SAMUNetSlicerLib.learning.examples import BankExamples
from SAMUNetSlicerLib.learning.prompts import Habits, coarse
from SAMUNetSlicerLib.learning.settings import TrainingSettings
from SAMUNetSlicerLib.learning.walks import Walk, WalkTrainer, draw_walk, measure_walks
from SAMUNetSlicerLib.networks.base import Decoded
from SAMUNetSlicerLib.networks.sam_unet_tiny import SamUnetTiny

RADII = (0, 30, 36, 42, 36, 0)  # the object shows on the planes in between
HABITS = Habits(exact_boxes=1.0)


@pytest.fixture
def banks(tmp_path):
    """A bank with one chain of a disc that drifts, grows and ends."""
    looks, rng = [], np.random.default_rng(0)
    for plane, radius in enumerate(RADII):
        parts = disc(256, 100 + 6 * plane, 128, radius).astype(np.uint8) * (radius > 0)
        grey = parts * 160 + rng.integers(0, 30, parts.shape)
        image = np.repeat(grey.astype(np.uint8)[None], 3, axis=0)
        looks.append(Look(image, parts, (256, 256), ((1,),), "discs", "case"))
    (tmp_path / "chains").mkdir()
    write_shard(shard_path(tmp_path / "chains", 0), looks, fake_encode)
    return tmp_path / "chains"


def draw(chain, count=40):
    drawn = [draw_walk(chain, HABITS, np.random.default_rng(seed)) for seed in range(count)]
    assert None not in drawn
    return drawn


def logits_of(mask: np.ndarray) -> np.ndarray:
    return np.where(coarse(mask) > 0.5, 4.0, -4.0).astype(np.float32)


def test_a_walk_begins_where_the_object_shows_and_goes_one_plane_beyond_it(banks):
    walks = draw(ChainBank(banks).chain(0))
    for walk in walks:
        assert all(truth.any() for truth in walk.truths[:-1])
        assert not walk.truths[-1].any()
        assert len(walk.truths) == len(walk.entries)
    assert {len(walk.entries) for walk in walks} == {4, 5}  # some leave a plane out
    assert {walk.first.mask_logits is None for walk in walks} == {True, False}


def test_the_next_prompt_follows_the_object(banks):
    entries = ChainBank(banks).chain(0)
    truths = [entry.parts > 0 for entry in entries]
    walk = Walk(entries[1:], truths[1:], draw(entries, 1)[0].first)
    walk.take(logits_of(truths[1]))
    walk.take(logits_of(truths[2]))
    prompt = walk.prompt(2)
    still, there = (np.array(box) for box in ((76, 92, 149, 165), (76, 86, 161, 171)))
    assert np.abs(np.array(prompt.box) - there).sum() < np.abs(still - there).sum()
    assert prompt.mask_logits.shape == (128, 128)
    found, wanted = prompt.mask_logits > 0, coarse(truths[3]) > 0.5
    assert (found & wanted).sum() / (found | wanted).sum() > 0.75
    assert not prompt.points


def test_a_walk_ends_with_an_empty_answer_or_its_last_plane(banks):
    walk = draw(ChainBank(banks).chain(0), 1)[0]
    walk.take(logits_of(walk.truths[0]))
    assert walk.goes_on(1)
    assert not walk.goes_on(len(walk.entries))
    walk.take(np.full((128, 128), -3.0, np.float32))
    assert not walk.goes_on(2)


def test_measuring_follows_what_is_there_from_an_exact_box(banks, monkeypatch):
    """A network that fills its box, and knows no more, loses a disc that grows and shrinks."""
    network = SamUnetTiny()

    def fill_box(_planes, prompts):
        (box,) = prompts.boxes_xyxy / 2
        at = torch.arange(128) + 0.5
        inside = ((at > box[0]) & (at < box[2]))[None, :] & ((at > box[1]) & (at < box[3]))[:, None]
        return Decoded(torch.where(inside, 4.0, -4.0)[None, None], None)

    monkeypatch.setattr(network, "decode", fill_box)
    figures = measure_walks(network, ChainBank(banks))
    assert set(figures) == {"walk 1", "walk 2", "walk 3"}  # the plane beyond the end is not counted
    assert 0.95 > figures["walk 1"] > figures["walk 2"] > figures["walk 3"] > 0.5
    monkeypatch.setattr(network, "decode", lambda _planes, _prompts: Decoded(torch.full((1, 1, 128, 128), -4.0), None))
    assert set(measure_walks(network, ChainBank(banks)).values()) == {0.0}


def test_a_configuration_with_chains_trains_and_measures_walks(banks, tmp_path):
    write_bank(tmp_path / "looks")
    save_file(SamUnetTiny().state_dict(), tmp_path / "start.safetensors")
    (tmp_path / "config.toml").write_text(
        "[training]\nsteps = 2\nimages = 1\nobjects = 1\nwalks = 1\nwalk_share = 1.0\nwarm_up = 1\n"
    )
    run_training(
        tmp_path / "config.toml",
        Files(
            start=tmp_path / "start.safetensors",
            folder=tmp_path / "run",
            bank=tmp_path / "looks",
            chains=banks,
            development_chains=banks,
        ),
    )
    assert "walk 1" in (tmp_path / "run" / "development.csv").read_text()
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_walks_are_learnt(banks, tmp_path):
    write_bank(tmp_path / "looks")
    settings = TrainingSettings(
        steps=10, images=1, objects=1, walk_share=1.0, walks=1, warm_up=1, pretrained_rate=1e-3, habits=HABITS
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(0)
        fabric = Fabric(accelerator="cpu", devices=1)
        trainer = WalkTrainer(SamUnetTiny(), BankExamples(Bank(tmp_path / "looks")), ChainBank(banks), settings, fabric)
        losses = [report.loss for report in trainer.run()]
        looks_alone = replace(settings, walk_share=0.0)
        trainer.settings = looks_alone
        assert trainer._learn(np.random.default_rng(0), 1)[0] > 0
    finally:
        torch.set_num_threads(threads)
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
