from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from learning_examples import disc, two_discs

from SAMUNetSlicerLib.learning import chains, synthetic
from SAMUNetSlicerLib.learning.augmentation import Augmentation
from SAMUNetSlicerLib.learning.chain_bank import FEATURES, ChainBank, fill_chain_bank
from SAMUNetSlicerLib.learning.chains import LENGTH, build_chain_mixture, development_chains, draw_chain
from SAMUNetSlicerLib.learning.sources import SourceSpec
from SAMUNetSlicerLib.networks.base import Embedding


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
    return np.isin(chain.parts, members).sum(axis=(1, 2))


def test_chains_come_from_volumes_made_up_volumes_and_pictures(data):
    mixture, rng = build_chain_mixture(SPECS, data), np.random.default_rng(0)
    drawn = [draw_chain(mixture, rng, Augmentation()) for _ in range(24)]
    assert {chain.source for chain in drawn} == {"balls", "discs", synthetic.SOURCE}
    for chain in drawn:
        assert chain.images.shape == (LENGTH, 3, 256, 256)
        assert chain.parts.shape == (LENGTH, 256, 256)
        assert all(areas(chain, members).max() >= 40 for members in chain.objects)


def test_an_object_keeps_its_number_and_changes_its_shape(data):
    mixture, rng = build_chain_mixture(SPECS, data), np.random.default_rng(1)
    chain = next(c for c in iter(lambda: draw_chain(mixture, rng, Augmentation()), None) if c.source == "balls")
    sizes = areas(chain, chain.objects[0])
    assert len(set(sizes.tolist())) > 1
    for here, there in zip(chain.parts, chain.parts[1:], strict=False):
        a, b = (np.isin(parts, chain.objects[0]) for parts in (here, there))
        if a.any() and b.any():
            assert (a & b).any()


def test_noise_differs_between_the_planes_of_a_picture_that_stands_still(data, monkeypatch):
    monkeypatch.setattr(chains, "_BEND", 0.0)
    monkeypatch.setattr(chains, "_GROWTH", 0.0)
    monkeypatch.setattr(chains, "_DRIFT", 0.0)

    def noisy(image, rng):
        return np.clip(image + rng.normal(0, 10, image.shape), 0, 255).astype(np.float32)

    chain = chains._look_at([two_discs()], np.random.default_rng(0), noisy)
    assert (chain.parts == chain.parts[0]).all()
    assert not np.array_equal(chain.images[0], chain.images[1])


def test_held_back_volumes_are_not_trained_on(data):
    held = {chain.case for chain in development_chains(SPECS, data, per_source=3)}
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


def fake_encode(image: torch.Tensor) -> Embedding:
    small = torch.nn.functional.avg_pool2d(image.mean(dim=1, keepdim=True), 2)
    fine = small * torch.linspace(-1, 1, 32)[:, None, None]
    coarse = torch.nn.functional.avg_pool2d(small, 2) * torch.linspace(-1, 1, 64)[:, None, None]
    return Embedding({"map128": fine, "map64": coarse})


def fill(folder: Path, count: int = 3, length: int = 2):
    rng = np.random.default_rng(4)

    def planes(index):
        return [chains._look_at([two_discs()], rng, lambda image, _rng: image) for _ in range(length)]

    return planes, list(fill_chain_bank(folder, planes, range(count), fake_encode))


def test_a_bank_gives_back_what_was_encoded_and_makes_missing_shards_only(tmp_path):
    planes, written = fill(tmp_path / "bank")
    assert written == [0, 1, 2]
    (tmp_path / "bank" / "shard-00001.safetensors").unlink()
    assert list(fill_chain_bank(tmp_path / "bank", planes, range(3), fake_encode)) == [1]
    bank = ChainBank(tmp_path / "bank")
    assert len(bank) == 6
    chain = bank[0]
    assert set(chain.features) == set(FEATURES)
    assert chain.features["map128"].shape == (LENGTH, 32, 128, 128)
    assert chain.features["map64"].shape == (LENGTH, 64, 64, 64)
    assert chain.parts.shape == (LENGTH, 256, 256)
    (single,) = chains_of_one(tmp_path / "single")
    expected = torch.cat(
        [fake_encode(torch.from_numpy(i[None]).float() / 255).features["map128"] for i in single.images]
    )
    stored = ChainBank(tmp_path / "single")[0].features["map128"]
    assert (stored - expected).abs().max() <= expected.abs().max() / 127


def chains_of_one(folder: Path):
    chain = chains._look_at([two_discs()], np.random.default_rng(2), lambda image, _rng: image)
    list(fill_chain_bank(folder, lambda _index: [chain], range(1), fake_encode))
    return [chain]
