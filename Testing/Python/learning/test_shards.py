import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from learning_examples import two_discs
from PIL import Image

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.learning.command import Files, _examples
from SAMUNetSlicerLib.learning.data.examples import StreamExamples, prepare_whole
from SAMUNetSlicerLib.learning.data.shards import ShardStream, write_shards
from SAMUNetSlicerLib.learning.data.sources import SourceSpec, Split, find_pairs, read_picture, split_pairs
from SAMUNetSlicerLib.learning.data.windows import Intensity
from SAMUNetSlicerLib.learning.settings import TrainingSettings
from SAMUNetSlicerLib.learning.state import write_tensors
from SAMUNetSlicerLib.learning.training import CHECKPOINT
from SAMUNetSlicerLib.networks.registry import build

SPEC = SourceSpec("discs", "set", case_pattern=r"^c\d+", development_fraction=0.25)
BROKEN = "c1"  # a case of the training side


def write_pair(root, name, image, labels):
    image.save(root / "set" / f"{name}_image.png")
    labels.save(root / "set" / f"{name}_labels.png")


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    picture = two_discs()
    for case, plane in itertools.product(range(8), range(2)):
        write_pair(tmp_path, f"c{case}_{plane}", Image.fromarray(picture.image + case), Image.fromarray(picture.labels))
    Image.fromarray(np.ones((9, 9), np.uint8)).save(folder / f"{BROKEN}_0_labels.png")  # another size
    write_shards([SPEC], tmp_path, tmp_path / "shards", Split.TRAIN, shard_length=4, planes=1)
    return tmp_path / "shards"


def names(pictures):
    return [(p.case, int(p.image.max())) for p in pictures]


def test_pictures_come_back_with_their_objects(shards):
    picture = next(ShardStream(shards).pictures())
    assert picture.image.shape == picture.labels.shape == (100, 100)
    assert picture.source == "discs"
    assert len(picture.objects) == 2
    assert {n for members in picture.objects for n in members} == set(np.unique(picture.labels)) - {0}


def test_only_cases_of_the_training_side_are_written_and_broken_pairs_are_not(shards, tmp_path):
    train = {p.case for p in split_pairs(SPEC, find_pairs(SPEC, tmp_path), Split.TRAIN)}
    assert len(train) == 6
    assert json.loads((shards / "index.json").read_text()) == {"shard_length": 4, "samples": 11, "skipped": 1}
    cases = [p.case for p in itertools.islice(ShardStream(shards).pictures(), 11)]
    assert sorted(set(cases)) == sorted(train)
    assert cases.count(BROKEN) == 1


def test_a_stream_goes_on_at_any_picture(shards):
    whole = names(itertools.islice(ShardStream(shards).pictures(), 22))  # twice round, by shards of 4, 4 and 3
    for already in range(20):
        assert names(itertools.islice(ShardStream(shards).pictures(already), 2)) == whole[already : already + 2]


def test_pictures_are_written_in_a_random_order_and_shards_read_in_another_each_time(shards):
    pictures = ShardStream(shards).pictures()
    rounds = [names(itertools.islice(pictures, 11)) for _ in range(4)]
    assert all(sorted(one) == sorted(rounds[0]) for one in rounds)
    assert any(one != rounds[0] for one in rounds)
    in_shard = [names(itertools.islice(ShardStream(shards, rank=n, world=3).pictures(), 3)) for n in range(3)]
    assert in_shard != [sorted(one) for one in in_shard]


def test_of_a_volume_several_planes_are_written(tmp_path):
    (tmp_path / "set").mkdir()
    labels = np.zeros((20, 30, 30), np.uint8)
    labels[5:15, 5:25, 5:25] = 1
    for name, array in (("image", labels.astype(np.int16) * 100), ("labels", labels)):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "set" / f"a_{name}.nii.gz"))
    write_pair(tmp_path, "c1_0", Image.fromarray(two_discs().image), Image.fromarray(two_discs().labels))
    spec = SourceSpec("any", "set", intensity=Intensity.RELATIVE)
    assert write_shards([spec], tmp_path, tmp_path / "shards", Split.TRAIN, shard_length=4, planes=5).samples == 5 + 1


def test_pictures_that_training_would_skip_are_not_written(tmp_path):
    """So that a resumed training need only count what it has drawn."""
    (tmp_path / "set").mkdir()
    labels = np.zeros((1500, 1500), np.uint8)
    labels[702:705, 700:711] = 1  # falls between the pixels of the network's input
    write_pair(tmp_path, "c1_0", Image.fromarray(labels), Image.fromarray(labels))
    write_pair(tmp_path, "c2_0", Image.fromarray(two_discs().image), Image.fromarray(two_discs().labels))
    spec = SourceSpec("discs", "set")
    picture = read_picture(find_pairs(spec, tmp_path)[0], np.random.default_rng(0))
    assert prepare_whole(picture, BrightRegionNetwork().spec.preprocessing) is None
    written = write_shards([spec], tmp_path, tmp_path / "shards", Split.TRAIN, shard_length=4, planes=1)
    assert (written.samples, written.skipped) == (1, 1)


def test_a_resumed_training_goes_on_behind_all_parts_of_its_steps(shards, tmp_path):
    settings = TrainingSettings(steps=4, images=2, accumulation=4)
    (tmp_path / "run").mkdir()
    write_tensors(tmp_path / "run" / CHECKPOINT, {"any": torch.zeros(1)}, {"step": "1"})
    files = Files(tmp_path / "start", tmp_path / "run", shards=shards)
    network = BrightRegionNetwork()
    examples = _examples(network, files, settings, SimpleNamespace(global_rank=0, world_size=1))
    drawn = [example.image for example in examples.draw(3, np.random.default_rng(0))]
    all_of_them = itertools.islice(ShardStream(shards, settings.seed).pictures(), 11)
    images = [prepare_whole(picture, network.spec.preprocessing).image for picture in all_of_them]
    assert all(map(torch.equal, drawn, images[8:]))


@pytest.mark.parametrize(("rank", "world"), [(0, 1), (1, 2)])
def test_a_process_trains_on_its_own_shards_in_the_order_of_the_seed(shards, tmp_path, rank, world):
    network, settings = BrightRegionNetwork(), TrainingSettings(seed=7)
    files = Files(tmp_path / "start", tmp_path / "run", shards=shards)
    examples = _examples(network, files, settings, SimpleNamespace(global_rank=rank, world_size=world))
    drawn = [example.image for example in examples.draw(4, np.random.default_rng(0))]
    own = itertools.islice(ShardStream(shards, seed=7, rank=rank, world=world).pictures(), 4)
    images = [prepare_whole(picture, network.spec.preprocessing).image for picture in own]
    assert all(map(torch.equal, drawn, images))


def test_pictures_that_are_held_back_are_not_trained_on(shards, tmp_path):
    lines = ('name = "discs"', 'folder = "set"', "case_pattern = '^c[0-9]+'", "development_fraction = 0.25")
    (tmp_path / "sources.toml").write_text("\n".join(["[[sources]]", *lines]), encoding="utf-8")
    files = Files(tmp_path / "start", tmp_path / "run", data=tmp_path, sources=tmp_path / "sources.toml")
    examples = _examples(BrightRegionNetwork(), files, TrainingSettings(), None)
    trained = {pair.case for pair in split_pairs(SPEC, find_pairs(SPEC, tmp_path), Split.TRAIN)}
    assert {pair.case for pair in examples._pairs} == trained


def test_processes_read_different_shards(shards):
    first, second = (ShardStream(shards, rank=rank, world=2)._shards for rank in range(2))
    assert not set(first) & set(second)
    assert len(first) + len(second) == len(list(shards.glob("*.tar")))


def test_shards_are_read_by_processes_that_torchrun_started(shards, monkeypatch):
    """WebDataset looks at these variables by itself."""
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert next(ShardStream(shards, rank=1, world=2).pictures()).source == "discs"


def test_shards_are_not_mixed_with_earlier_ones(shards, tmp_path):
    with pytest.raises(InputError, match="holds shards already"):
        write_shards([SPEC], tmp_path, shards, Split.DEVELOPMENT, shard_length=4, planes=1)


def test_an_empty_side_leaves_no_shard(shards, tmp_path):
    (tmp_path / "set" / "c1_1_labels.png").unlink()
    spec = replace(
        SPEC, case_pattern=f"^{BROKEN}", development_cases=tuple(f"c{n}_{m}" for n in range(8) for m in (0, 1))
    )
    with pytest.raises(InputError, match="nothing on this side"):
        write_shards([spec], tmp_path, tmp_path / "none", Split.TRAIN, shard_length=4, planes=1)
    assert not list((tmp_path / "none").iterdir())


def test_shards_that_were_not_finished_are_told(shards):
    (shards / "shard-000001.tar").unlink()
    with pytest.raises(InputError, match="missing"):
        ShardStream(shards)
    (shards / "index.json").write_text('{"shard_length": 4, "sam')
    with pytest.raises(InputError, match="not complete"):
        ShardStream(shards)
    (shards / "index.json").unlink()
    with pytest.raises(InputError, match="not complete"):
        ShardStream(shards)


def test_a_damaged_shard_is_named(shards):
    for shard in shards.glob("*.tar"):
        content = bytearray(shard.read_bytes())
        content[600:3000] = bytes(2400)
        shard.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-00000\d.tar is damaged"):
        list(itertools.islice(ShardStream(shards).pictures(), 11))


def test_a_folder_may_have_any_name(shards, tmp_path):
    folder = tmp_path / "10%d {a,b}"
    write_shards([SPEC], tmp_path, folder, Split.TRAIN, shard_length=4, planes=1)
    assert next(ShardStream(folder).pictures()).source == "discs"


def test_a_folder_may_begin_as_those_of_windows_do(shards, tmp_path, monkeypatch):
    """WebDataset would take c: for a protocol."""
    monkeypatch.chdir(tmp_path)
    folder = Path("c:shards")
    write_shards([SPEC], tmp_path, folder, Split.TRAIN, shard_length=4, planes=1)
    assert next(ShardStream(folder).pictures()).source == "discs"


def test_too_few_shards_are_explained(shards):
    with pytest.raises(InputError, match="too few"):
        ShardStream(shards, rank=9, world=10)


def test_whole_pictures_are_drawn_from_a_stream(shards):
    examples = StreamExamples(ShardStream(shards), build("sam_unet_res34"), already=0)
    drawn = examples.draw(5, np.random.default_rng(0))
    assert [e.image.shape for e in drawn] == [(3, 256, 256)] * 5
    assert all(len(e.objects) == 2 for e in drawn)
