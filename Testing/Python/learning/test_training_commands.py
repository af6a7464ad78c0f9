"""`samunet data` and `samunet train` on a folder of two discs."""

import sys

import numpy as np
import pytest
from learning_examples import fake_encode, two_discs
from PIL import Image

from SAMUNetSlicerLib.cli.main import main
from SAMUNetSlicerLib.errors import ExitCode
from SAMUNetSlicerLib.learning.data import production
from SAMUNetSlicerLib.learning.data.bank import Bank

SOURCES = '[[sources]]\nname = "discs"\nfolder = "set"\ncase_pattern = "c\\\\d+"\ndevelopment_fraction = 0.25\n'


@pytest.fixture
def discs(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    picture = two_discs()
    for case in range(8):
        Image.fromarray(picture.image + case).save(tmp_path / "set" / f"c{case}_image.png")
        Image.fromarray(picture.labels).save(tmp_path / "set" / f"c{case}_labels.png")
    Image.fromarray(np.ones((9, 9), np.uint8)).save(tmp_path / "set" / "c1_labels.png")  # another size
    (tmp_path / "sources.toml").write_text(SOURCES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_shards_are_written_and_counted(discs, capsys):
    assert main(["data", "shard", "--sources=sources.toml", "--data=.", "--output=shards"]) == ExitCode.OK
    assert "5 pictures written, 1 left out" in capsys.readouterr().out
    assert [path.name for path in (discs / "shards").glob("*.tar")] == ["shard-000000.tar"]


def test_banks_are_filled_on_both_sides_of_the_split(discs, monkeypatch):
    monkeypatch.setattr(production, "load_encoder", lambda weights: weights)
    monkeypatch.setattr(production, "build_encode", lambda encoder, batch, threads: fake_encode)
    common = ["data", "bank", "--sources=sources.toml", "--data=.", "--weights=encoder.safetensors"]
    assert main([*common, "--bank=train", "--looks=20", "--synthetic=0.5"]) == ExitCode.OK
    assert main([*common, "--bank=held", "--split=development"]) == ExitCode.OK
    train, held = Bank(discs / "train"), Bank(discs / "held")
    assert len(train) == 32  # whole shards
    assert {entry.source for entry in train} == {"discs", "synthetic"}
    cases = {entry.case for entry in held}
    assert len(cases) == 2
    assert cases.isdisjoint(entry.case for entry in train)


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        ('[sources]\nname = "a"\nfolder = "set"\n', "double brackets"),
        ('sources = ["a"]\n', "'a'"),
        ('[[sources]]\nname = "a"\nfolder = 3\n', "'a'"),
        ('[[sources]]\nname = "a"\nfolder = "set"\ncase_pattern = "("\n', "'a'"),
    ],
)
def test_wrong_sources_are_told_in_a_sentence(discs, capsys, sources, reason):
    (discs / "sources.toml").write_text(sources)
    assert main(["data", "shard", "--sources=sources.toml", "--data=.", "--output=shards"]) == ExitCode.INPUT
    assert reason in capsys.readouterr().err


@pytest.fixture
def encoded(discs, monkeypatch):
    """The options of `samunet data bank`, with an encoder that needs no weights."""
    monkeypatch.setattr(production, "load_encoder", lambda weights: weights)
    monkeypatch.setattr(production, "build_encode", lambda encoder, batch, threads: fake_encode)
    return ["data", "bank", "--sources=sources.toml", "--data=.", "--weights=encoder.safetensors", "--bank=bank"]


def test_a_training_side_without_cases_is_told(encoded, discs, capsys):
    (discs / "sources.toml").write_text(SOURCES.replace("0.25", "1.0"))
    assert main([*encoded, "--looks=16"]) == ExitCode.INPUT
    assert "held back" in capsys.readouterr().err
    assert main([*encoded, "--looks=16", "--synthetic=1"]) == ExitCode.OK


def test_a_worker_that_is_not_among_them_is_refused(encoded, discs, capsys):
    """It would make again what another makes, and one share would be missing."""
    assert main([*encoded, "--workers=2", "--worker=2"]) == ExitCode.USAGE
    assert "no worker 2" in capsys.readouterr().err
    assert not (discs / "bank").exists()


def test_a_held_back_side_without_looks_is_told(encoded, discs, capsys):
    (discs / "sources.toml").write_text(SOURCES.replace("0.25", "0.0"))
    assert main([*encoded, "--split=development"]) == ExitCode.INPUT
    assert "development_fraction" in capsys.readouterr().err


def test_pictures_that_never_show_an_object_end_the_filling(encoded, discs, capsys, monkeypatch):
    monkeypatch.setattr(production, "PATIENCE", 20)
    for path in (discs / "set").glob("*_labels.png"):
        Image.fromarray(np.zeros((100, 100), np.uint8)).save(path)
    assert main([*encoded, "--looks=16", "--synthetic=0"]) == ExitCode.INPUT
    assert "shows an object" in capsys.readouterr().err


def test_a_configuration_that_is_none_is_told(discs, capsys):
    assert main(["train", "nothing.toml", "--from=a.safetensors", "--folder=run"]) == ExitCode.INPUT
    assert "neither a file nor a shipped configuration named 'nothing.toml'" in capsys.readouterr().err


def test_the_device_of_a_training_is_an_option(discs, capsys):
    command = ["train", "sam_unet_tiny", "--from=a.safetensors", "--folder=run", "--device=toaster"]
    assert main(command) == ExitCode.USAGE
    assert "'toaster' is not known" in capsys.readouterr().err


def test_a_missing_package_is_told_with_the_command_that_installs_it(discs, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "SAMUNetSlicerLib.learning.command", raising=False)
    monkeypatch.delitem(sys.modules, "SAMUNetSlicerLib.learning.training", raising=False)
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    assert main(["train", "sam_unet_tiny", "--from=a.safetensors", "--folder=run"]) != ExitCode.OK
    assert "pip install '.[train]'" in capsys.readouterr().err
