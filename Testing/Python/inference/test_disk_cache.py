"""Encodings on the disk: whole or not at all, bounded, never another's, whatever other processes do."""

import json
import os
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.encoding.disk_cache import DiskCache, ModelEncodings, encoding_key
from SAMUNetSlicerLib.inference.encoding.encoders import TorchEncoder
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlanePredictor
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.networks.base import Embedding

WHOLE = Crop(0, 0, 80, 60)
KEYS = [encoding_key(np.full((2, 2, 3), i, dtype=np.uint8), "model") for i in range(30)]


def embedding(seed: int, kilobytes: int = 4) -> Embedding:
    generator = torch.Generator().manual_seed(seed)
    return Embedding(
        {"image": torch.rand(1, kilobytes * 128, generator=generator), "map": torch.rand(1, kilobytes * 128)}
    )


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "encodings", limit_bytes=100 * 1024)


def noise(seed: int = 0) -> PlaneImage:
    return PlaneImage(np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8), f"noise {seed}")


def predictor(cache, model="weights-1"):
    return PlanePredictor(BrightRegionNetwork(), on_disk=ModelEncodings(cache, model))


def test_what_was_kept_is_served_unchanged(cache):
    kept = embedding(1)
    cache.put(KEYS[0], kept)
    torch.testing.assert_close(cache.get(KEYS[0]).features, kept.features, rtol=0, atol=0)
    assert cache.get(KEYS[1]) is None


def test_half_precision_is_kept_too(cache):
    kept = embedding(1).to(torch.bfloat16)
    cache.put(KEYS[0], kept)
    torch.testing.assert_close(cache.get(KEYS[0]).features, kept.features, rtol=0, atol=0)


def test_the_next_session_encodes_nothing_anew(cache):
    first = predictor(cache).encode(noise(), [WHOLE])[0]
    later = predictor(cache)
    torch.testing.assert_close(later.encode(noise(), [WHOLE])[0].features, first.features)
    assert later.counts.encoded == 0


def test_nothing_is_written_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    PlanePredictor(BrightRegionNetwork()).encode(noise(), [WHOLE])
    assert not list(tmp_path.rglob("*"))


def test_another_model_precision_crop_or_content_is_encoded_anew(cache):
    predictor(cache).encode(noise(), [WHOLE])
    others = [
        (predictor(cache, model="weights-2"), noise(), WHOLE),
        (predictor(cache), noise(), Crop(0, 0, 79, 60)),
        (predictor(cache), PlaneImage(255 - noise().rgb, noise().key), WHOLE),
    ]
    half = predictor(cache)
    half.encode_planes = type("Half", (TorchEncoder,), {"signature": "torch half"})(half.network)
    for worker, image, crop in [*others, (half, noise(), WHOLE)]:
        worker.encode(image, [crop])
        assert worker.counts.encoded == 1


def test_another_version_of_the_program_encodes_anew(cache, monkeypatch):
    picture, encodings = np.zeros((2, 2, 3), dtype=np.uint8), ModelEncodings(cache, "model")
    key = encodings.key(picture, "torch full")
    assert encodings.key(picture, "torch full") == key
    monkeypatch.setattr("SAMUNetSlicerLib.inference.encoding.disk_cache.VERSION", "99.0")
    assert encodings.key(picture, "torch full") != key


def test_a_picture_that_only_has_another_shape_is_another():
    picture = np.zeros((4, 6, 3), dtype=np.uint8)
    assert encoding_key(picture, "m") != encoding_key(picture.reshape(6, 4, 3), "m")


@pytest.mark.parametrize("position", [(0, 0, 0), (1, 3, 2), (2, 5, 1), (3, 4, 0)])
def test_a_picture_that_differs_in_one_value_is_another(position):
    picture = np.zeros((4, 6, 3), dtype=np.uint8)
    other = picture.copy()
    other[position] = 1
    assert encoding_key(picture, "m") != encoding_key(other, "m")


@pytest.mark.parametrize(
    "other",
    [
        {"image": torch.arange(8.0).reshape(2, 4), "map": torch.arange(8.0)},
        {"image": torch.arange(8.0), "card": torch.arange(8.0)},
    ],
)
def test_the_same_numbers_under_another_shape_or_name_are_not_served(cache, other):
    features = {"image": torch.arange(8.0), "map": torch.arange(8.0)}
    cache.put(KEYS[0], Embedding(features))
    (path,) = cache.folder.iterdir()
    with safe_open(path, "pt") as kept:
        metadata = kept.metadata()
    save_file(other, path, metadata)
    assert cache.get(KEYS[0]) is None


def test_a_file_under_a_wrong_name_is_not_served(cache):
    cache.put(KEYS[0], embedding(0))
    (cache.folder / f"{KEYS[0]}.safetensors").rename(cache.folder / f"{KEYS[1]}.safetensors")
    assert cache.get(KEYS[1]) is None
    assert len(cache) == 0


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "text", "header"])
def test_a_damaged_file_is_ignored_and_removed(cache, damage):
    cache.put(KEYS[0], embedding(0))
    (path,) = cache.folder.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[-5] ^= 1
    if damage == "header":
        content[0] ^= 255
    path.write_bytes({"cut": content[:-100], "empty": b"", "text": b"not tensors at all"}.get(damage, content))
    assert cache.get(KEYS[0]) is None
    assert not path.exists()


@pytest.mark.parametrize(
    "header",
    [
        {"__metadata__": None, "image": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
        {"image": {"dtype": "F4", "shape": [16], "data_offsets": [0, 8]}},
    ],
)
def test_a_file_of_another_program_is_ignored_and_removed(cache, header):
    text = json.dumps(header).encode()
    path = cache.folder / f"{KEYS[0]}.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    assert cache.get(KEYS[0]) is None
    assert not path.exists()


def test_the_bound_is_kept_and_the_least_recently_used_goes_first(cache):
    for i in range(12):
        cache.put(KEYS[i], embedding(i, kilobytes=10))
        if i == 3:
            continue
        past = time.time() - 1000 + i
        os.utime(cache.folder / f"{KEYS[i]}.safetensors", (past, past))
        cache.get(KEYS[3])
    assert cache.nbytes <= cache.limit_bytes
    assert cache.get(KEYS[3]) is not None
    assert cache.get(KEYS[0]) is None
    assert cache.get(KEYS[11]) is not None


def test_what_was_served_lately_outlives_what_was_written_later(cache):
    for i in range(3):
        cache.put(KEYS[i], embedding(i, kilobytes=30))
        long_ago = time.time() - 1000 + i
        os.utime(cache.folder / f"{KEYS[i]}.safetensors", (long_ago, long_ago))
    cache.get(KEYS[0])
    cache.put(KEYS[3], embedding(3, kilobytes=30))
    assert [cache.get(KEYS[i]) is not None for i in range(4)] == [True, False, True, True]


def test_the_bound_may_be_filled_to_the_last_byte(cache):
    cache.put(KEYS[0], embedding(0))
    full = DiskCache(cache.folder, limit_bytes=2 * cache.nbytes)
    full.put(KEYS[1], embedding(1))
    assert len(full) == 2
    full.put(KEYS[2], embedding(2))
    assert len(full) == 2


def test_a_write_that_fails_leaves_no_half_file(cache, monkeypatch):
    def full_disk(descriptor, mode):
        os.close(descriptor)
        raise OSError("No space left on device")

    monkeypatch.setattr("SAMUNetSlicerLib.inference.encoding.disk_cache.os.fdopen", full_disk)
    cache.put(KEYS[0], embedding(0))
    assert list(cache.folder.iterdir()) == []


def test_what_is_larger_than_the_bound_is_not_kept(cache):
    cache.put(KEYS[0], embedding(0))
    cache.put(KEYS[1], embedding(1, kilobytes=200))
    assert len(cache) == 1


def test_files_are_their_owners_alone(cache):
    cache.put(KEYS[0], embedding(0))
    (path,) = cache.folder.iterdir()
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_keeps_nothing_and_breaks_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    worker = predictor(DiskCache(tmp_path / "file"))
    assert len(worker.encode(noise(), [WHOLE])) == 1
    assert worker.on_disk.cache.nbytes == 0


def test_clearing_removes_everything(cache):
    cache.put(KEYS[0], embedding(0))
    (cache.folder / "left.new").write_bytes(b"half")
    cache.clear()
    assert list(cache.folder.iterdir()) == []


def test_what_a_killed_process_left_is_removed_in_time(cache):
    cache.put(KEYS[0], embedding(0))
    old, young = cache.folder / "old.new", cache.folder / "young.new"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (1, 1))
    cache.put(KEYS[1], embedding(1))
    assert young.exists()
    assert not old.exists()


WRITER = """
import sys, torch
from pathlib import Path
from SAMUNetSlicerLib.inference.encoding.disk_cache import DiskCache
from SAMUNetSlicerLib.networks.base import Embedding
cache = DiskCache(Path(sys.argv[1]), limit_bytes=40 * 2**20)
print("begun", flush=True)
for turn in range(int(sys.argv[2])):
    for number in range(6):
        key = f"{number:048x}"
        cache.put(key, Embedding({"x": torch.full((1, 2**20), float(number))}))
        found = cache.get(key)
        assert found is None or bool((found.features["x"] == number).all()), number
"""


def start_writer(folder, turns):
    command = [sys.executable, "-c", WRITER, str(folder), str(turns)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def test_two_processes_write_and_read_the_same_encodings(tmp_path):
    writers = [start_writer(tmp_path, 5) for _ in range(2)]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0]
    assert not list(tmp_path.glob("*.new"))
    assert len(DiskCache(tmp_path)) == 6


def test_a_process_killed_in_the_middle_leaves_no_half_encoding(tmp_path):
    for wait_s in (0.0, 0.05, 0.11):
        writer = start_writer(tmp_path, 10_000)
        writer.stdout.readline()
        time.sleep(wait_s)
        writer.kill()
        writer.wait()
    cache = DiskCache(tmp_path)
    kept = [path.stem for path in tmp_path.glob("*.safetensors")]
    for key in kept:
        found = cache.get(key)
        assert found is not None
        assert bool((found.features["x"] == int(key, 16)).all())
