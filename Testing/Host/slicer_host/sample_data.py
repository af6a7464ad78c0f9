"""`SampleData`, Slicer's module, for sources of one file: the button and the script go different ways to it, as there.

The button calls a source's own downloader where it has one. `downloadSample` never does: it fetches the address into
the cache, unless a copy with the right checksum is there, and loads that by the name of the file format.
"""

from __future__ import annotations

import logging
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.util import computeChecksum, extractAlgoAndDigest

_ATTEMPTS = 3


@dataclass
class SampleDataSource:
    """Fields as Slicer's; each one list there, one value here."""

    sampleName: str
    uris: str
    fileNames: str
    nodeNames: str | None = None
    checksums: str | None = None
    customDownloader: object = None
    thumbnailFileName: str | None = None
    loadFileType: str = "VolumeFile"


class SampleDataLogic:
    """Registers sources, and gets them as scripts do."""

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **fields) -> None:
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        source = SampleDataSource(**fields)
        if str(source) not in map(str, sources):
            sources.append(source)

    def downloadSamples(self, sampleName: str) -> list:
        for sources in slicer.modules.sampleDataSources.values():
            for source in sources:
                if source.sampleName == sampleName:
                    return self.downloadFromSource(source)
        return []

    def downloadFromSource(self, source: SampleDataSource) -> list:
        for _attempt in range(_ATTEMPTS):
            try:
                path = self._in_cache(source)
            except OSError as error:
                logging.error("Download failed: %s", error)
                continue
            node = self._load(path, source)
            if node is not None:
                return [node]
            path.unlink(missing_ok=True)
        return []

    def _in_cache(self, source: SampleDataSource) -> Path:
        path = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()) / source.fileNames
        algorithm, digest = extractAlgoAndDigest(source.checksums)

        def is_right() -> bool:
            return algorithm is None or computeChecksum(algorithm, str(path)) == digest

        if path.exists() and path.stat().st_size > 0:
            if is_right():
                return path
            path.unlink()
        urllib.request.urlretrieve(source.uris, path)
        if not is_right():
            path.unlink()  # Slicer goes on with the path, and loading it fails
        return path

    def _load(self, path: Path, source: SampleDataSource):
        if source.loadFileType != "VolumeFile":
            raise NotImplementedError(f"the host loads no {source.loadFileType}")
        node = slicer.modules.volumes.logic().AddArchetypeVolume(str(path), source.nodeNames) if path.exists() else None
        if node is not None and node.GetStorageNode() is not None:  # the copy in the cache is nobody's file
            slicer.mrmlScene.RemoveNode(node.GetStorageNode())
            node.SetAndObserveStorageNodeID(None)
        return node


def downloadSample(sampleName: str):
    return SampleDataLogic().downloadSamples(sampleName)[0]


def press_button(sampleName: str):
    """What the button of a source does in the window of Sample Data."""
    for sources in slicer.modules.sampleDataSources.values():
        for source in sources:
            if source.sampleName == sampleName:
                own = source.customDownloader
                return own(source) if own else SampleDataLogic().downloadFromSource(source)[0]
    raise KeyError(sampleName)
