import numpy as np
from scipy.ndimage import label

from SAMUNetSlicerLib.learning.data.crops import object_mask
from SAMUNetSlicerLib.learning.data.synthetic import SIZE, make_picture


def test_the_same_generator_state_gives_the_same_picture():
    first, again = (make_picture(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.objects == again.objects


def test_every_object_is_there_mostly_in_one_piece_and_none_fills_the_picture():
    for seed in range(9):
        picture = make_picture(np.random.default_rng(seed))
        assert picture.image.shape[:2] == picture.labels.shape == (SIZE, SIZE)
        for members in picture.objects:
            mask = object_mask(picture.labels, members)
            assert 0 < mask.mean() < 0.6
            assert np.bincount(label(mask)[0].ravel())[1:].max() > 0.75 * mask.sum()


def test_some_objects_contain_others():
    pictures = [make_picture(np.random.default_rng(seed)) for seed in range(8)]
    assert any(len(members) > 1 for picture in pictures for members in picture.objects)
