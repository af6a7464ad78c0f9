"""Files that lie, are damaged or attack are refused with a reason, and nothing in them runs."""

import io
import json
import os
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from SAMUNetSlicerLib.checkpoints import restricted_unpickler
from SAMUNetSlicerLib.checkpoints.tensors import read_tensors
from SAMUNetSlicerLib.errors import ModelError


class Payload:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def archive(path, pickled, storages=(), compression=zipfile.ZIP_STORED, extra=()):
    """A file of torch's layout around any pickle."""
    with zipfile.ZipFile(path, "w", compression) as out:
        out.writestr("archive/data.pkl", pickled)
        for number, content in enumerate(storages):
            out.writestr(f"archive/data/{number}", content)
        for name, content in extra:
            out.writestr(f"archive/{name}", content)
    return path


def pickled_tensor(elements=4, offset=0, size=(4,), stride=(1,), name="w"):
    """What torch pickles for {name: tensor}, with free choice of every number."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, "0", "cpu", elements) if value is marker else None

    marker = object.__new__(type("Marker", (), {}))
    rebuild = Payload(torch._utils._rebuild_tensor_v2, marker, offset, size, stride, False, {})
    stream = io.BytesIO()
    Pickler(stream, 2).dump({name: rebuild})
    return stream.getvalue()


FOUR_FLOATS = struct.pack("<4f", 1, 2, 3, 4)


def test_the_helper_makes_a_file_that_is_accepted(tmp_path):
    tensors = read_tensors(archive(tmp_path / "a.pth", pickled_tensor(), [FOUR_FLOATS]))
    assert tensors["w"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch {}",)),
        (eval, ("open({!r}, 'w')",)),
        (exec, ("open({!r}, 'w').close()",)),
        (__import__("subprocess").Popen, (["touch", "{}"],)),
        (open, ("{}", "w")),
        (torch.load, ("{}",)),
    ],
)
def test_a_pickled_call_beside_the_weights_does_not_run(tmp_path, function, arguments):
    witness = tmp_path / "witness"

    def aim(value):
        if isinstance(value, list):
            return [aim(v) for v in value]
        return value.replace("{!r}", repr(str(witness))).replace("{}", str(witness))

    content = {"model": {"w": torch.ones(3)}, "optimizer": Payload(function, *map(aim, arguments))}
    torch.save(content, tmp_path / "a.pth")
    assert read_tensors(tmp_path / "a.pth")["w"].tolist() == [1, 1, 1]
    assert not witness.exists()
    # The same payload does run where a file is unpickled carelessly, so the test can fail.
    if function is os.system:
        torch.load(tmp_path / "a.pth", weights_only=False)
        assert witness.exists()


@pytest.mark.parametrize("attribute", ["__class__", "__dict__", "dispatch"])
def test_a_pickle_cannot_reach_attributes_of_the_reader(tmp_path, attribute):
    # STACK_GLOBAL with a dotted name walks attributes in a careless reader
    program = pickle.PROTO + b"\x04" + b"\x8c\x0ctorch._utils" + pickle.MEMOIZE
    name = f"_rebuild_tensor_v2.{attribute}".encode()
    program += b"\x8c" + bytes([len(name)]) + name + pickle.MEMOIZE + pickle.STACK_GLOBAL + pickle.STOP
    with pytest.raises(ModelError):
        read_tensors(archive(tmp_path / "a.pth", program))


def test_object_state_cannot_change_the_reader(tmp_path):
    # BUILD on the tensor builder itself: a careless reader would give the function an attribute
    program = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x06\x00\x00\x00poisonK\x01sb."
    with pytest.raises(ModelError):
        read_tensors(archive(tmp_path / "a.pth", program))
    builder = restricted_unpickler.RestrictedUnpickler(b"", None).find_class("torch._utils", "_rebuild_tensor_v2")
    assert not hasattr(builder, "poison")


@pytest.mark.parametrize(
    "numbers",
    [
        {"size": (5,)},
        {"offset": 1},
        {"size": (2, 2), "stride": (3, 1)},
        {"offset": -1},
        {"size": (-4,)},
        {"size": (4,), "stride": (-1,)},
        {"size": (2**40,), "stride": (0,)},
        {"elements": 1000},
        {"size": (4, 1)},
        {"offset": 2.0},
    ],
)
def test_tensors_that_reach_beyond_their_data_are_refused(tmp_path, numbers):
    with pytest.raises(ModelError, match="safely"):
        read_tensors(archive(tmp_path / "a.pth", pickled_tensor(**numbers), [FOUR_FLOATS]))


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02r\xff\xff\xff\x7f.",  # a memo slot far away
        b"\x80\x05\x96\x00\x00\x00\x00\x10\x00\x00\x00.",  # a byte array of 64 GB
        b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a text of 2**63 characters
        b"\x80\x02" + b"(" * 100 + b".",
        b"\x80\x02",
        b"",
        b"\x80\x02}q\x00(h\x00h\x00u.",  # a dict as its own key
        b"\x80\x02\x82\x01.",  # copyreg's extension table
    ],
)
def test_pickles_that_are_no_checkpoint_are_refused(tmp_path, program):
    with pytest.raises(ModelError):
        read_tensors(archive(tmp_path / "a.pth", program, [FOUR_FLOATS]))


def test_a_packed_archive_is_refused(tmp_path):
    bomb = archive(tmp_path / "a.pth", pickled_tensor(), [bytes(10**6)], compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="packed"):
        read_tensors(bomb)


def test_entries_that_overlap_are_refused(tmp_path):
    path = archive(tmp_path / "a.pth", pickled_tensor(), [bytes(4000), bytes(4000)])
    content = bytearray(path.read_bytes())
    # Let the central directory claim a larger size for the last entry, as overlapping bombs do.
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 20 : directory + 28] = struct.pack("<II", 10**6, 10**6)
    path.write_bytes(content)
    with pytest.raises(ModelError, match="more than its own size"):
        read_tensors(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("change", ["name", "encrypted"])
def test_a_damaged_list_of_entries_is_refused(tmp_path, change):
    path = archive(tmp_path / "a.pth", pickled_tensor(), [FOUR_FLOATS])
    content = bytearray(path.read_bytes())
    listed = content.index(b"PK\x01\x02")
    if change == "name":
        content[content.index(b"archive", listed)] = 0xD8
        content[listed + 9] |= 0x08  # names are UTF-8
    else:
        content[listed + 8] |= 0x01
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged or incomplete"):
        read_tensors(path)


def test_two_entries_of_one_name_are_refused(tmp_path):
    path = archive(tmp_path / "a.pth", pickled_tensor(), [FOUR_FLOATS], extra=[("data/0", FOUR_FLOATS)])
    with pytest.raises(ModelError, match="one name"):
        read_tensors(path)


@pytest.mark.parametrize("kept", [0.2, 0.7, 0.99])
@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_truncated_files_are_refused(tmp_path, form, kept):
    path = tmp_path / f"a.{form}"
    state = {"w": torch.ones(500), "v": torch.ones(500)}
    save_file(state, path) if form == "safetensors" else torch.save(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ModelError, match="damaged or incomplete"):
        read_tensors(path)


def test_a_safetensors_header_that_lies_is_refused(tmp_path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ModelError, match="damaged"):
        read_tensors(tmp_path / "a.safetensors")


def test_a_whole_pickled_model_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "a.pth")
    with pytest.raises(ModelError, match="no weights by name"):
        read_tensors(tmp_path / "a.pth")


def test_a_compiled_program_is_refused(tmp_path):
    path = archive(tmp_path / "a.pt", pickled_tensor(), [FOUR_FLOATS], extra=[("constants.pkl", b"\x80\x02).")])
    with pytest.raises(ModelError, match="TorchScript"):
        read_tensors(path)


def test_big_endian_data_is_refused(tmp_path):
    path = archive(tmp_path / "a.pt", pickled_tensor(), [FOUR_FLOATS], extra=[("byteorder", b"big")])
    with pytest.raises(ModelError, match="big-endian"):
        read_tensors(path)


def test_the_form_of_torch_before_1_6_is_refused_unread(tmp_path):
    torch.save(
        {"w": Payload(os.system, f"touch {tmp_path / 'witness'}")},
        tmp_path / "a.pth",
        _use_new_zipfile_serialization=False,
    )
    with pytest.raises(ModelError, match=r"before version 1\.6"):
        read_tensors(tmp_path / "a.pth")
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"<html>404</html>", b"PK\x03\x04 not really", bytes(100)])
def test_files_of_other_kinds_are_refused(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ModelError):
        read_tensors(tmp_path / "a.pth")


def test_an_ordinary_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as out:
        out.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match=r"torch\.save"):
        read_tensors(tmp_path / "a.pth")
