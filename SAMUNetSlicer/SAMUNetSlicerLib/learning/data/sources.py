"""Where training images come from: folders of image + mask, and volumes cut to planes in three orientations.

A source is described by a `SourceSpec` (see the configurations beside this file), not by code. Cases are split into
training and development by a hash of the case's name, so that the split neither depends on the order of files nor on
the machine, and planes of one case never stand on both sides.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image
from scipy import ndimage

from ...errors import InputError
from .volume_planes import LabelledVolumes, random_plane
from .windows import Intensity, to_eight_bit

_VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
MIN_AREA = 30  # pixels of the picture
MAX_PARTS = 250
_MOSTLY = 0.9
_VOLUMES = LabelledVolumes()
_THRESHOLD = 127  # of a mask that is a picture of 0 and 255, whose JPEG form has values between


class Objects(StrEnum):
    """What one object of a label map is."""

    COMPONENTS = "components"  # a connected component of one label
    FOREGROUND = "foreground"  # a connected component of all labels together: numbers mean something else
    INSTANCES = "instances"  # a label
    BINARY = "binary"  # a connected component of what is brighter than 127


class Split(StrEnum):
    TRAIN = "train"
    DEVELOPMENT = "development"


@dataclass(frozen=True)
class SourceSpec:
    """One source of training images.

    folder: relative to the data's root. Files are <id><image_ending>.<suffix> and <id><one of mask_endings>.<suffix>,
    unless `pairs` names them. case_pattern: regular expression searched in <id>; what it matches is the case.
    development_fraction of the cases (at least one if above 0) and the named development_cases are held back.
    objects, intensity: see `Objects` and `Intensity`; of pictures, only those of more than 8 bits have an intensity.
    index: a JSON file in the folder, {image: [masks, ..]}, as SA-Med2D has it (`SAMed2D_v1.json`, or
    `image2label_train.json` of its demo); then files are not searched, and each mask is one object.
    weight: share of this source among all, in a bank.
    """

    name: str
    folder: str
    objects: Objects = Objects.COMPONENTS
    intensity: Intensity = Intensity.PICTURE
    image_ending: str = "_image"
    mask_endings: tuple[str, ...] = ("_mask", "_labels")
    pairs: tuple[tuple[str, str], ...] = ()
    index: str = ""
    case_pattern: str = ".+"
    development_fraction: float = 0.0
    development_cases: tuple[str, ...] = ()
    weight: float = 1.0

    @staticmethod
    def from_mapping(entry: Mapping) -> SourceSpec:
        """From a table of a TOML or JSON configuration. Raises InputError for an unknown key or value."""
        try:
            values = dict(entry)
            for name, kind in (("objects", Objects), ("intensity", Intensity)):
                if name in values:
                    values[name] = kind(values[name])
            for name in ("mask_endings", "development_cases"):
                if isinstance(values.get(name), str):  # its letters would each be one
                    raise TypeError(f"{name} is a list of texts, in brackets")
                if name in values:
                    values[name] = tuple(values[name])
            for name in ("weight", "development_fraction"):
                if not isinstance(values.get(name, 0.0), int | float):
                    raise TypeError(f"{name} is a number")
            if "pairs" in values:
                values["pairs"] = tuple((image, mask) for image, mask in values["pairs"])
            spec = SourceSpec(**values)
            # Values of the wrong kind would be found out only where they are used.
            Path(spec.folder), re.compile(spec.case_pattern)
            return spec
        except (TypeError, ValueError, re.error) as error:
            name = entry.get("name", "?") if isinstance(entry, Mapping) else entry
            raise InputError(f"The source {name!r} of the configuration is wrong: {error}.") from error


def sources_in(path: Path) -> list[SourceSpec]:
    """The [[sources]] of a TOML file. Raises InputError."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["sources"]
        if not isinstance(entries, list):
            raise TypeError("[sources] needs double brackets")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a configuration with [[sources]]: {error}.") from error
    return [SourceSpec.from_mapping(entry) for entry in entries]


@dataclass(frozen=True)
class Pair:
    """An image or volume with its mask; or an image with a mask for each of its objects."""

    source: SourceSpec
    case: str
    image: Path
    masks: tuple[Path, ...]

    @property
    def mask(self) -> Path:
        """The only mask, or the first."""
        return self.masks[0]


@dataclass(frozen=True)
class Picture:
    """A plane with the objects on it.

    image: (H, W) or (H, W, 3) uint8. labels: (H, W) uint8, 0 is background, parts numbered from 1.
    objects: sets of parts; nested objects share parts.
    """

    image: np.ndarray
    labels: np.ndarray
    objects: tuple[tuple[int, ...], ...]
    source: str = ""
    case: str = ""


def find_pairs(spec: SourceSpec, root: Path) -> list[Pair]:
    """All pairs of a source, sorted. Raises InputError when there is none."""
    folder = root / spec.folder
    if spec.index:
        pairs = _indexed_pairs(spec, folder)
    elif spec.pairs:
        pairs = [_pair(spec, folder / image, (folder / mask,), stem_of(folder / image)) for image, mask in spec.pairs]
    else:
        pairs = _pairs_by_name(spec, folder)
    if not pairs:
        raise InputError(f"No pair of image and mask was found for the source '{spec.name}' in {folder}.")
    return pairs


def split_pairs(spec: SourceSpec, pairs: list[Pair], split: Split) -> list[Pair]:
    """Those of one side of the split, by case."""
    cases = sorted({p.case for p in pairs}, key=_hash)
    count = 0
    if spec.development_fraction > 0:
        count = max(1, round(spec.development_fraction * len(cases)))
    held = set(cases[:count]) | set(spec.development_cases)
    return [p for p in pairs if (p.case in held) == (split is Split.DEVELOPMENT)]


def read_picture(pair: Pair, rng: np.random.Generator) -> Picture | None:
    """The picture of a pair, or a random plane of its volume with random windowing; None where it shows no object.

    Raises InputError when the two files do not fit each other.
    """
    if is_volume(pair.image):
        plane = random_plane(_VOLUMES.read(pair.image, pair.mask), pair.source.intensity, MIN_AREA, rng)
        if plane is None:
            return None
        image, labels = plane
    elif pair.source.index:
        return _read_with_many_masks(pair, rng)
    else:
        image, labels = _read_image(pair, rng), _read_mask(pair.mask, pair.source.objects)
    if image.shape[:2] != labels.shape:
        raise InputError(f"{pair.image.name} and {pair.mask.name} have different sizes.")
    parts = number_parts(labels, pair.source.objects, rng)
    count = int(parts.max())
    if count == 0:
        return None
    return Picture(image, parts, tuple((i,) for i in range(1, count + 1)), pair.source.name, pair.case)


def number_parts(labels: np.ndarray, objects: Objects, rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8 map of the objects of a label map, at most 250 of at least 30 pixels, in random order."""
    if objects is Objects.BINARY:
        labels = labels > _THRESHOLD
    elif objects is Objects.FOREGROUND:
        labels = labels > 0
    numbered = _numbered(labels, objects)
    large = np.flatnonzero(np.bincount(numbered.ravel())[1:] >= MIN_AREA) + 1
    chosen = large[rng.permutation(len(large))[:MAX_PARTS]]
    new_numbers = np.zeros(numbered.max() + 1, np.uint8)
    new_numbers[chosen] = np.arange(1, len(chosen) + 1)
    return new_numbers[numbered]


def _numbered(labels: np.ndarray, objects: Objects) -> np.ndarray:
    """(H, W) int32: one map rather than a mask for each, since a slide has thousands of objects."""
    numbered = np.zeros(labels.shape, np.int32)
    inside = labels > 0
    numbered[inside] = np.unique(labels[inside], return_inverse=True)[1] + 1
    if objects is Objects.INSTANCES:
        return numbered
    components, count = np.zeros_like(numbered), 0
    for number, frame in enumerate(ndimage.find_objects(numbered), start=1):
        mask = sitk.GetImageFromArray((numbered[frame] == number).astype(np.uint8))
        found = sitk.GetArrayFromImage(sitk.ConnectedComponent(mask, True)).astype(np.int32)
        components[frame] += np.where(found > 0, found + count, 0)
        count += int(found.max())
    return components


def _read_image(pair: Pair, rng: np.random.Generator) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8; what has more than 8 bits comes under a random window."""
    with Image.open(pair.image) as image:
        if image.mode.startswith(("I", "F")):
            stated = pair.source.intensity
            intensity = Intensity.RELATIVE if stated is Intensity.PICTURE else stated
            return to_eight_bit(np.nan_to_num(np.asarray(image, np.float32)), intensity, rng)
        return np.asarray(image.convert("L" if image.mode in ("L", "1") else "RGB"))


def _read_mask(path: Path, objects: Objects) -> np.ndarray:
    with Image.open(path) as image:
        return labels_of(image, objects)


def labels_of(mask: Image.Image, objects: Objects) -> np.ndarray:
    """(H, W) int32. Each colour is a label, but for what is told by its brightness."""
    labels = np.asarray(mask.convert("L") if mask.mode in ("1", "LA") else mask)  # how opaque it is labels nothing
    if labels.ndim == 2:
        return labels.astype(np.int32)
    colours = labels[..., :3].astype(np.int32)
    is_grey = (colours == colours[..., :1]).all()
    return colours.max(axis=2) if is_grey or objects is Objects.BINARY else colours @ (1 << 16, 1 << 8, 1)


def overlay(masks: list[np.ndarray]) -> tuple[np.ndarray, tuple[tuple[int, ...], ...]]:
    """(H, W) bool masks that may overlap, as parts and objects (see `Picture`); what lies inside is painted last."""
    masks = sorted((m for m in masks if m.sum() >= MIN_AREA), key=lambda m: -int(m.sum()))[:MAX_PARTS]
    parts = np.zeros(masks[0].shape if masks else (0, 0), np.uint8)
    for number, mask in enumerate(masks, start=1):
        parts[mask] = number
    areas = np.bincount(parts.ravel(), minlength=len(masks) + 1)
    objects = []
    for mask in masks:
        inside = np.bincount(parts[mask], minlength=len(masks) + 1)
        members = tuple(n for n in range(1, len(masks) + 1) if inside[n] > _MOSTLY * areas[n])
        if members and inside[list(members)].sum() > _MOSTLY * mask.sum():
            objects.append(members)
    return parts, tuple(objects)


def _read_with_many_masks(pair: Pair, rng: np.random.Generator) -> Picture | None:
    """Masks of another size than the image's, a known defect of SA-Med2D, are left out."""
    image = _read_image(pair, rng)
    masks = [_read_mask(path, Objects.FOREGROUND) > 0 for path in pair.masks]
    parts, objects = overlay([mask for mask in masks if mask.shape == image.shape[:2]])
    return Picture(image, parts, objects, pair.source.name, pair.case) if objects else None


def _indexed_pairs(spec: SourceSpec, folder: Path) -> list[Pair]:
    """Those of an index whose image and at least one mask exist. Entries may begin with the folder's own name."""
    try:
        index = json.loads((folder / spec.index).read_text(encoding="utf-8"))
        entries = [(image, list(masks)) for image, masks in index.items()]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"The index {folder / spec.index} cannot be read: {error}.") from error
    pairs = []
    for entry, mask_entries in entries:
        image = _find_entry(folder, entry)
        masks = tuple(path for path in (_find_entry(folder, e) for e in mask_entries) if path is not None)
        if image is not None and masks:
            pairs.append(_pair(spec, image, masks, image.stem))
    return sorted(pairs, key=lambda p: p.image)


def _pairs_by_name(spec: SourceSpec, folder: Path) -> list[Pair]:
    suffixes = _PICTURE_SUFFIXES + _VOLUME_SUFFIXES
    found = sorted(p for p in folder.iterdir() if p.name.lower().endswith(suffixes)) if folder.is_dir() else []
    files = {stem_of(path): path for path in reversed(found)}
    pairs = []
    for path in found:
        stem = stem_of(path)
        identity = stem[: len(stem) - len(spec.image_ending)]
        mask = _find_mask(identity, spec.mask_endings, files) if stem.endswith(spec.image_ending) else None
        if mask is not None:
            pairs.append(_pair(spec, path, (mask,), identity))
    return pairs


def _find_entry(folder: Path, entry: str) -> Path | None:
    candidates = (folder / entry, folder.joinpath(*Path(entry).parts[1:]))
    return next((path for path in candidates if path.is_file()), None)


def _pair(spec: SourceSpec, image: Path, masks: tuple[Path, ...], identity: str) -> Pair:
    match = re.search(spec.case_pattern, identity)
    return Pair(spec, match.group(0) if match else identity, image, masks)


def _find_mask(identity: str, endings: tuple[str, ...], files: Mapping[str, Path]) -> Path | None:
    return next((files[identity + ending] for ending in endings if identity + ending in files), None)


def is_volume(path: Path) -> bool:
    """Whether a file is a volume rather than a picture, by its name."""
    return path.name.lower().endswith(_VOLUME_SUFFIXES)


def stem_of(path: Path) -> str:
    """A file's name less its ending, also where that has two dots."""
    suffixes = _PICTURE_SUFFIXES + _VOLUME_SUFFIXES
    suffix = next((s for s in suffixes if path.name.lower().endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(suffix)]


def _hash(case: str) -> str:
    return hashlib.sha256(case.encode()).hexdigest()
