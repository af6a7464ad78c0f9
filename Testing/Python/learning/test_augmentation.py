"""What is done to the intensities of looks, and from which numbers looks come."""

import numpy as np

from SAMUNetSlicerLib.learning.data import production
from SAMUNetSlicerLib.learning.data.augmentation import Augmentation

RAMP = np.linspace(40, 210, 48 * 64, dtype=np.float32).reshape(1, 48, 64)
GREY, RED = np.repeat(RAMP, 3, axis=0), np.concatenate([RAMP, 0 * RAMP, 0 * RAMP])


def augmented(image: np.ndarray) -> list[np.ndarray]:
    augmentation = Augmentation()
    return [augmentation(image, np.random.default_rng(seed)) for seed in range(120)]


def test_a_picture_keeps_its_contents_and_is_a_negative_now_and_then():
    likeness = np.array([np.corrcoef(GREY.ravel(), image.ravel())[0, 1] for image in augmented(GREY)])
    assert np.mean(np.abs(likeness) > 0.5) > 0.9
    assert 0.08 < np.mean(likeness < 0) < 0.25


def test_colours_are_kept_changed_for_others_or_lost():
    images = np.array(augmented(RED))
    means = np.sort(images.mean(axis=(2, 3)), axis=1)
    is_pure = means[:, 1] < 0.2 * means[:, 2]  # neither a negative nor tinted
    is_grey = np.ptp(images, axis=1).max(axis=(1, 2)) < 1e-3
    assert 0.2 < np.mean(is_grey) < 0.5
    brightest = images.mean(axis=(2, 3))[is_pure].argmax(axis=1)
    assert set(brightest) == {0, 1, 2}
    assert np.mean(brightest == 0) > 0.5


def test_each_shard_and_each_seed_have_looks_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr(production, "SHARD_LENGTH", 1)
    looks = [
        production.training_looks([], tmp_path, synthetic_share=1.0, seed=seed)(index)[0].image
        for seed, index in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    np.testing.assert_array_equal(looks[0], looks[1])
    assert all((looks[0] != other).any() for other in looks[2:])
