"""Standard codes and colours of common structures, found by a segment's name.

Codes, meanings and recommended colours are those of 3D Slicer's "General Anatomy" list (SNOMED CT, as DICOM uses it),
so that a segment written here shows in Slicer as if it had been chosen in the terminology selector. A name may state
a side in any place ("left kidney", "kidney_left", "Kidney, Left"); unknown names are plain tissue, Slicer's default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"

_TISSUE = ("85756007", "Tissue")
_ANATOMY = ("123037004", "Anatomical Structure")
_ALTERED = ("49755003", "Morphologically Altered Structure")
_SIDES = {"right": ("24028007", "Right"), "left": ("7771000", "Left")}


@dataclass(frozen=True)
class Term:
    """A structure: SNOMED CT codes as (value, meaning), and Slicer's colour for it (0-1)."""

    category: tuple[str, str]
    type: tuple[str, str]
    colour_rgb: tuple[float, float, float]
    side: tuple[str, str] | None = None

    @property
    def entry(self) -> str:
        """Slicer's TerminologyEntry: context~category~type~type modifier~anatomic context~region~region modifier."""
        codes = [f"SCT^{value}^{meaning}" for value, meaning in (self.category, self.type)]
        modifier = f"SCT^{self.side[0]}^{self.side[1]}" if self.side else "^^"
        return "~".join([CONTEXT, *codes, modifier, ANATOMIC_CONTEXT, "^^", "^^"])


def _term(category, value: str, meaning: str, red: int, green: int, blue: int) -> Term:
    return Term(category, (value, meaning), (red / 255, green / 255, blue / 255))


TISSUE = _term(_TISSUE, "85756007", "Tissue", 128, 174, 128)

_TERMS = [
    TISSUE,
    _term(_TISSUE, "51114001", "Artery", 216, 101, 79),
    _term(_TISSUE, "248300009", "Body fat", 230, 220, 70),
    _term(_TISSUE, "272673000", "Bone", 241, 214, 145),
    _term(_TISSUE, "309312004", "Cartilage", 111, 184, 210),
    _term(_TISSUE, "59441001", "Lymph node", 68, 172, 100),
    _term(_TISSUE, "71616004", "Muscle", 192, 104, 88),
    _term(_TISSUE, "119410002", "Nerve", 244, 214, 49),
    _term(_TISSUE, "39937001", "Skin", 177, 122, 101),
    _term(_TISSUE, "29092000", "Vein", 0, 151, 206),
    _term(_ANATOMY, "23451007", "Adrenal gland", 249, 186, 150),
    _term(_ANATOMY, "15825003", "Aorta", 224, 97, 76),
    _term(_ANATOMY, "89837001", "Bladder", 222, 154, 132),
    _term(_ANATOMY, "12738006", "Brain", 250, 250, 225),
    _term(_ANATOMY, "35764002", "Brain ventricle", 88, 106, 215),
    _term(_ANATOMY, "122494005", "Cervical spine", 255, 255, 207),
    _term(_ANATOMY, "51299004", "Clavicle", 205, 179, 108),
    _term(_ANATOMY, "71854001", "Colon", 204, 168, 143),
    _term(_ANATOMY, "38848004", "Duodenum", 255, 253, 229),
    _term(_ANATOMY, "32849002", "Esophagus", 211, 171, 143),
    _term(_ANATOMY, "79652003", "Eyeball", 194, 142, 0),
    _term(_ANATOMY, "28231008", "Gallbladder", 139, 150, 98),
    _term(_ANATOMY, "389081007", "Gray Matter", 200, 200, 235),
    _term(_ANATOMY, "80891009", "Heart", 206, 110, 84),
    _term(_ANATOMY, "64033007", "Kidney", 185, 102, 83),
    _term(_ANATOMY, "10200004", "Liver", 221, 130, 101),
    _term(_ANATOMY, "122496007", "Lumbar spine", 212, 188, 102),
    _term(_ANATOMY, "39607008", "Lung", 197, 165, 145),
    _term(_ANATOMY, "91609006", "Mandible", 222, 198, 101),
    _term(_ANATOMY, "15776009", "Pancreas", 249, 180, 111),
    _term(_ANATOMY, "41216001", "Prostate", 230, 158, 140),
    _term(_ANATOMY, "113197003", "Rib", 253, 232, 158),
    _term(_ANATOMY, "89546000", "Skull", 241, 213, 144),
    _term(_ANATOMY, "30315005", "Small Intestine", 205, 167, 142),
    _term(_ANATOMY, "2748008", "Spinal cord", 244, 214, 49),
    _term(_ANATOMY, "78961009", "Spleen", 157, 108, 162),
    _term(_ANATOMY, "56873002", "Sternum", 244, 217, 154),
    _term(_ANATOMY, "69695003", "Stomach", 216, 132, 105),
    _term(_ANATOMY, "122495006", "Thoracic spine", 226, 202, 134),
    _term(_ANATOMY, "69748006", "Thyroid", 62, 162, 114),
    _term(_ANATOMY, "44567001", "Trachea", 182, 228, 255),
    _term(_ANATOMY, "35039007", "Uterus", 255, 181, 158),
    _term(_ANATOMY, "389080008", "White Matter", 250, 250, 210),
    _term(_ALTERED, "75753009", "Blood clot", 145, 60, 66),
    _term(_ALTERED, "367643001", "Cyst", 205, 205, 100),
    _term(_ALTERED, "79654002", "Edema", 140, 224, 228),
    _term(_ALTERED, "50960005", "Hemorrhage", 188, 65, 28),
    _term(_ALTERED, "4147007", "Mass", 144, 238, 144),
    _term(_ALTERED, "6574001", "Necrosis", 216, 191, 216),
]
# Slicer's list offers a side for these alone.
_PAIRED = {"adrenal gland", "clavicle", "eyeball", "kidney", "lung"}
_OTHER_NAMES = {
    "fat": "body fat",
    "gall bladder": "gallbladder",
    "grey matter": "gray matter",
    "haemorrhage": "hemorrhage",
    "oedema": "edema",
    "oesophagus": "esophagus",
    "small bowel": "small intestine",
    "thyroid gland": "thyroid",
    "tumor": "mass",
    "tumour": "mass",
    "urinary bladder": "bladder",
}
_BY_NAME = {term.type[1].lower(): term for term in _TERMS}


def find_term(name: str) -> Term | None:
    """The structure that a segment's name says, or None where it is not in the list.

    Case, punctuation, plural and the place of a side do not matter. A side is known for paired organs only: "left
    ventricle" is not "ventricle".
    """
    words = re.findall(r"[^\W\d_]+", name.lower())
    sides = [word for word in words if word in _SIDES]
    base = " ".join(word for word in words if word not in _SIDES)
    for candidate in (base, base.removesuffix("s")):
        known = _OTHER_NAMES.get(candidate, candidate)
        if known in _BY_NAME and (not sides or (known in _PAIRED and len(sides) == 1)):
            term = _BY_NAME[known]
            return Term(term.category, term.type, term.colour_rgb, _SIDES[sides[0]]) if sides else term
    return None


def terminology_entry(name: str) -> str:
    """Slicer's TerminologyEntry string for a segment of this name; plain tissue for an unknown name."""
    return (find_term(name) or TISSUE).entry
