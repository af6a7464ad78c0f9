import os
import time

import numpy as np
import pytest
from learning_examples import example_look, fake_encode, write_bank

from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.learning.data import production
from SAMUNetSlicerLib.learning.data.bank import Bank, shard_path
from SAMUNetSlicerLib.learning.data.production import fill_bank


def test_a_look_comes_back_with_its_encodings(tmp_path):
    write_bank(tmp_path, looks=2)
    look, entry = example_look(1), Bank(tmp_path)[1]
    stage2, embedding = fake_encode(look.image[None].astype(np.float32) / 255)
    np.testing.assert_array_equal(entry.image.numpy(), look.image.astype(np.float32) / 255)
    np.testing.assert_array_equal(entry.parts, look.parts)
    assert (entry.objects, entry.visible, entry.source, entry.case) == (((1,), (2,)), (256, 200), "discs", "case1")
    for stored, exact in ((entry.stage2, stage2[0]), (entry.embedding, embedding[0])):
        error = np.abs(stored.numpy() - exact).max(axis=(1, 2))
        assert np.all(error <= np.abs(exact).max(axis=(1, 2)) / 254 + 1e-6)


def test_a_growing_bank_is_read_while_it_grows(tmp_path):
    write_bank(tmp_path, shards=1)
    bank = Bank(tmp_path)
    assert len(bank) == 2
    write_bank(tmp_path, shards=2)
    assert bank.refresh() == 4
    assert {entry.case for entry in bank} == {"case0", "case1", "case2", "case3"}


def test_a_damaged_shard_is_named(tmp_path):
    write_bank(tmp_path)
    path = shard_path(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=path.name):
        Bank(tmp_path)


def test_production_goes_on_with_the_missing_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(production, "load_encoder", lambda weights: None)
    monkeypatch.setattr(production, "build_encode", lambda encoder, batch, threads: fake_encode)

    def fill():
        return fill_bank(tmp_path, lambda index: [example_look(index)], shards=range(3), weights=tmp_path, threads=1)

    assert next(fill()) == 0
    (tmp_path / ".shard-00001.safetensors.0123abcd").write_bytes(b"killed while writing it")
    others = tmp_path / ".shard-00007.safetensors.0123abcd"
    others.write_bytes(b"of another process")
    for name, age_s in ((".tmpAbCdEf", 7200), (".tmpGhIjKl", 0)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    assert list(fill()) == [1, 2]
    assert [entry.case for entry in Bank(tmp_path)] == ["case0", "case1", "case2"]
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == {others.name, ".tmpGhIjKl"}
