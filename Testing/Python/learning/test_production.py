"""Which looks a bank is filled with."""

import numpy as np
import pytest
from learning_examples import two_discs
from PIL import Image

from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.inference.prompts import bounding_box_xyxy
from SAMUNetSlicerLib.learning.data.crops import object_mask
from SAMUNetSlicerLib.learning.data.production import build_mixture, development_looks, draw_look
from SAMUNetSlicerLib.learning.data.sources import SourceSpec


def source(root, name: str, picture: np.ndarray, labels: np.ndarray, **settings) -> SourceSpec:
    folder = root / name
    folder.mkdir()
    for case in range(3):
        Image.fromarray(picture).save(folder / f"{case}_image.png")
        Image.fromarray(labels).save(folder / f"{case}_mask.png")
    return SourceSpec(name, name, **settings)


def looks_of(mixture, count: int, augmentation=lambda image, rng: image):
    rng = np.random.default_rng(0)
    return [draw_look(mixture, rng, augmentation) for _ in range(count)]


def test_sources_are_drawn_by_their_weights(tmp_path):
    discs = two_discs()
    specs = [source(tmp_path, name, discs.image, discs.labels, weight=w) for name, w in (("a", 6), ("b", 2), ("c", 0))]
    names = [look.source for look in looks_of(build_mixture(specs, tmp_path, synthetic_share=0.0), 120)]
    assert set(names) == {"a", "b"}
    assert 0.65 < names.count("a") / len(names) < 0.85
    with pytest.raises(InputError, match="No case is left"):
        build_mixture(specs[2:], tmp_path, synthetic_share=0.5)


def test_looks_are_turned_and_augmented(tmp_path):
    bar = np.zeros((200, 200), np.uint8)
    bar[95:105, 60:140] = 255
    mixture = build_mixture([source(tmp_path, "bars", bar, bar)], tmp_path, synthetic_share=0.0)
    are_wide = set()
    for look in looks_of(mixture, 12, lambda image, rng: 255 - image):
        parts = look.parts > 0
        assert look.image[0][parts].mean() < 60 < look.image[0][: look.visible[0], : look.visible[1]].mean()
        x0, y0, x1, y1 = bounding_box_xyxy(parts)
        are_wide.add(x1 - x0 > y1 - y0)
    assert are_wide == {True, False}


def test_held_back_looks_are_at_the_largest_object(tmp_path):
    labels = np.zeros((300, 300), np.uint8)
    labels[100:140, 120:160], labels[200:220, 20:40] = 1, 2
    spec = source(tmp_path, "squares", labels * 100, labels, development_fraction=1.0)
    assert len(list(development_looks([spec], tmp_path, per_source=2, zoom=4.0))) == 2
    (look,) = development_looks([spec], tmp_path, per_source=1, zoom=4.0)
    assert len(look.objects) == 1
    box = bounding_box_xyxy(object_mask(look.parts, look.objects[0]))
    np.testing.assert_allclose(box, (96, 96, 160, 160), atol=1)  # a quarter of the side, in the middle
