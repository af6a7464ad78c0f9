from itertools import pairwise

import numpy as np
import pytest
import SimpleITK as sitk
from learning_examples import disc, fake_encode, two_discs

from SAMUNetSlicerLib.learning import chains, synthetic
from SAMUNetSlicerLib.learning.augmentation import Augmentation
from SAMUNetSlicerLib.learning.bank import ChainBank, shard_path, write_shard
from SAMUNetSlicerLib.learning.chains import (
    LENGTH,
    build_chain_mixture,
    development_chains,
    draw_chain,
    training_chains,
)
from SAMUNetSlicerLib.learning.sources import SourceSpec


@pytest.fixture
def data(tmp_path):
    """A folder with volumes of a ball that drifts along K, and one with pictures of two discs."""
    grey, labels = np.zeros((24, 80, 80), np.float32), np.zeros((24, 80, 80), np.uint8)
    for k in range(4, 20):
        labels[k] = disc(80, 25 + k, 40, 14 - abs(k - 12))
    grey[labels > 0] = 100
    for folder in ("volumes", "pictures"):
        (tmp_path / folder).mkdir()
    for case in range(4):
        sitk.WriteImage(sitk.GetImageFromArray(grey), str(tmp_path / "volumes" / f"{case}_image.nii.gz"))
        sitk.WriteImage(sitk.GetImageFromArray(labels), str(tmp_path / "volumes" / f"{case}_mask.nii.gz"))
    picture = two_discs()
    for name, array in (("a_image", picture.image), ("a_labels", picture.labels)):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "pictures" / f"{name}.png"))
    return tmp_path


SPECS = [
    SourceSpec("balls", "volumes", development_fraction=0.25),
    SourceSpec("discs", "pictures", objects="instances"),
]


def areas(chain, members):
    return np.array([np.isin(look.parts, members).sum() for look in chain])


def test_chains_come_from_volumes_made_up_volumes_and_pictures(data):
    mixture, rng = build_chain_mixture(SPECS, data), np.random.default_rng(0)
    drawn = [draw_chain(mixture, rng, Augmentation()) for _ in range(24)]
    assert {chain[0].source for chain in drawn} == {"balls", "discs", synthetic.SOURCE}
    for chain in drawn:
        assert len(chain) == LENGTH
        assert all(look.objects == chain[0].objects for look in chain)
        assert all(areas(chain, members).max() >= 40 for members in chain[0].objects)


def test_an_object_keeps_its_number_and_changes_its_shape(data):
    mixture, rng = build_chain_mixture(SPECS, data), np.random.default_rng(1)
    chain = next(c for c in iter(lambda: draw_chain(mixture, rng, Augmentation()), None) if c[0].source == "balls")
    sizes = areas(chain, chain[0].objects[0])
    assert len(set(sizes.tolist())) > 1
    for here, there in pairwise(chain):
        a, b = (np.isin(look.parts, chain[0].objects[0]) for look in (here, there))
        if a.any() and b.any():
            assert (a & b).any()


def test_noise_differs_between_the_planes_of_a_picture_that_stands_still(data, monkeypatch):
    monkeypatch.setattr(chains, "_BEND", 0.0)
    monkeypatch.setattr(chains, "_GROWTH", 0.0)
    monkeypatch.setattr(chains, "_DRIFT", 0.0)

    def noisy(image, rng):
        return np.clip(image + rng.normal(0, 10, image.shape), 0, 255).astype(np.float32)

    chain = chains._look_at([two_discs()], np.random.default_rng(0), noisy)
    assert all(np.array_equal(look.parts, chain[0].parts) for look in chain)
    assert not np.array_equal(chain[0].image, chain[1].image)


def test_held_back_volumes_are_not_trained_on(data):
    held = {chain[0].case for chain in development_chains(SPECS, data, per_source=3)}
    trained = {pair.case for pairs in build_chain_mixture(SPECS, data).volumes.pairs for pair in pairs}
    assert held
    assert trained
    assert not held & trained


def test_made_up_planes_share_their_objects_and_some_vanish():
    vanished = 0
    for seed in range(6):
        planes = synthetic.make_planes(np.random.default_rng(seed), LENGTH)
        assert len({plane.objects for plane in planes}) == 1
        assert any(not np.array_equal(a.labels, b.labels) for a, b in zip(planes, planes[1:], strict=False))
        numbers = {n for members in planes[0].objects for n in members}
        vanished += any(numbers - set(np.unique(plane.labels).tolist()) for plane in planes)
    assert vanished


def test_without_volumes_chains_are_made_up_or_bent(data):
    mixture, rng = build_chain_mixture(SPECS[1:], data), np.random.default_rng(0)
    assert {draw_chain(mixture, rng, Augmentation())[0].source for _ in range(12)} == {"discs", synthetic.SOURCE}


def test_a_chain_has_its_number_in_a_bank(data, tmp_path, monkeypatch):
    chains_of = training_chains(SPECS, data, seed=3)
    for number in (0, 1):
        (tmp_path / "bank").mkdir(exist_ok=True)
        write_shard(shard_path(tmp_path / "bank", number), chains_of(number), fake_encode)
    bank = ChainBank(tmp_path / "bank")
    assert bank.count == 2
    for entry, look in zip(bank.chain(1), training_chains(SPECS, data, seed=3)(1), strict=True):
        assert np.array_equal(entry.parts, look.parts)
        assert entry.objects == look.objects
