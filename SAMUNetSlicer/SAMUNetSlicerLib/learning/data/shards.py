"""Sharding a collection too large to be listed in memory: tar files in WebDataset's form, read from front to back.

A sample holds `image.png`, `parts.png` (numbered parts) and `about.json` (objects, source, case). Samples are written
in random order, so reading needs no shuffling beyond that of the shards. Nothing in a shard is unpickled.
"""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import webdataset
from PIL import Image
from webdataset import tariterators

from ...atomic_file import made_folder, written_whole
from ...errors import InputError
from .crops import whole_parts
from .production import read_or_skip
from .sources import Picture, SourceSpec, Split, find_pairs, is_volume, split_pairs

_PATTERN = "shard-*.tar"
_INDEX = "index.json"


@dataclass(frozen=True)
class Written:
    """What came of writing: samples in shards, and pairs (or planes) that were left out."""

    samples: int
    skipped: int


def write_shards(
    specs: list[SourceSpec], root: Path, folder: Path, split: Split, shard_length: int, planes: int
) -> Written:
    """Write one side of the split by case. planes: random ones of each volume.

    The last samples that do not fill a shard are written too; index.json tells the lengths. Raises InputError, also
    for a folder that holds shards: some of theirs would stay between the new ones. Raises OutputError.
    """
    if any(folder.glob(_PATTERN)):
        raise InputError(f"{folder} holds shards already. Delete them, or choose another folder.")
    pairs = [pair for spec in specs for pair in split_pairs(spec, find_pairs(spec, root), split)]
    draws = np.repeat(np.arange(len(pairs)), [planes if is_volume(pair.image) else 1 for pair in pairs])
    rng = np.random.default_rng(0)
    made_folder(folder)
    samples = skipped = 0
    with _shard_writer(folder, shard_length) as writer:
        for index in rng.permutation(draws):
            picture = read_or_skip(pairs[index], rng)
            if picture is None or not whole_parts(picture)[1]:  # training would skip it, and lose count
                skipped += 1
                continue
            writer.write({"__key__": f"{samples:09d}", **_encoded(picture)})
            samples += 1
    if not samples:
        (folder / "shard-000000.tar").unlink()
        raise InputError("There is nothing on this side of the split that could be written.")
    index = {"shard_length": shard_length, "samples": samples, "skipped": skipped}
    with written_whole(folder / _INDEX) as stream:
        stream.write(json.dumps(index).encode())
    return Written(samples, skipped)


class ShardStream:
    """Endless pictures from a folder of shards, in another order of shards each time round.

    rank, world: this process takes every world-th shard. Memory does not depend on the number of samples.
    """

    def __init__(self, folder: Path, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        shards = sorted(folder.glob(_PATTERN))
        if len(shards) < world:
            raise InputError(f"{folder} has too few shards. Write them first, at least one for each process.")
        try:
            index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            shard_length, samples = int(index["shard_length"]), int(index["samples"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"The shards in {folder} are not complete. Delete them and write them again.") from error
        lengths = [shard_length] * (len(shards) - 1)
        lengths.append(samples - sum(lengths))
        if not 0 < lengths[-1] <= shard_length:
            raise InputError(f"Shards in {folder} are missing. Delete all and write them again.")
        self._shards = list(zip(shards, lengths, strict=True))[rank::world]
        self._seed = seed

    def pictures(self, already: int = 0) -> Iterator[Picture]:
        """From picture number `already` on, counted from 0."""
        for round_number in itertools.count():
            for index in np.random.default_rng([self._seed, round_number]).permutation(len(self._shards)):
                shard, length = self._shards[index]
                if already >= length:
                    already -= length
                else:
                    yield from itertools.islice(_read_shard(shard), already, None)
                    already = 0


def _read_shard(path: Path) -> Iterator[Picture]:
    # Without WebDataset's own decoders, some of which unpickle. Shards are shared among processes by `ShardStream`.
    try:
        with path.open("rb") as stream:
            files = tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
            for sample in tariterators.group_by_keys(files):
                about = json.loads(sample["about.json"])
                objects = tuple(tuple(members) for members in about["objects"])
                image, parts = _picture(sample["image.png"]), _picture(sample["parts.png"])
                yield Picture(image, parts, objects, about["source"], about["case"])
    except (OSError, tarfile.TarError, SyntaxError, ValueError, KeyError) as error:
        raise InputError(f"The shard {path} is damaged. Copy or write the shards again.") from error


def _shard_writer(folder: Path, shard_length: int) -> webdataset.ShardWriter:
    """WebDataset opens no file itself: it takes the C: of a Windows path for a protocol like http:."""
    files: list[BinaryIO] = []

    def opened(name: str) -> BinaryIO:
        files.append(Path(name).open("wb"))  # noqa: SIM115 closed below
        return files[-1]

    pattern = str(folder).replace("%", "%%") + "/shard-%06d.tar"
    return webdataset.ShardWriter(
        pattern, maxcount=shard_length, verbose=0, opener=opened, post=lambda _name: files.pop().close()
    )


def _encoded(picture: Picture) -> dict[str, bytes]:
    about = {"objects": picture.objects, "source": picture.source, "case": picture.case}
    return {
        "image.png": _png(picture.image),
        "parts.png": _png(picture.labels),
        "about.json": json.dumps(about).encode(),
    }


def _png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()


def _picture(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        return np.array(image)
