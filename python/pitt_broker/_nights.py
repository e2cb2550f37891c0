"""ZTF's public nights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import _native


def download(
    newest: int = 1,
    *,
    nights: Sequence[str] | None = None,
    archive: str | Path | None = None,
    url: str | None = None,
    keep: str | Path | None = None,
    force: bool = False,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Fetches nights of ZTF's public archive into ours; gives a dict a night fetched now.

    Nights that are here are passed over, interrupted ones go on where they stood. A night is 5 to 70 GB.

    Parameters
    ----------
    newest
        So many nights with alerts, the newest first.
    nights
        Instead of that, nights and ranges: ``["20181129", "20181201..20181207"]``.
    archive
        Folder of the archive; ``./pitt-data`` or ``PITT_ARCHIVE`` when left out.
    url
        Another public archive; ``PITT_ARCHIVE_URL`` when left out.
    keep
        Folder in which to keep the tarballs.
    force
        Begin even if the disk seems too small.
    quiet
        Say nothing.

    Raises
    ------
    DownloadError
        No network, no such night, a wrong checksum, no room.
    """
    say = None if quiet else lambda text: print(text, end="")
    chosen = None if nights is None else [str(night) for night in nights]
    folder = None if archive is None else Path(archive)
    kept = None if keep is None else Path(keep)
    fetched, damaged = _native.download(folder, url, newest, chosen, kept, force, say)
    if damaged:
        raise _native.DownloadError("; ".join(damaged))
    return fetched


def releases(archive: str | Path | None = None) -> list[dict[str, Any]]:
    """The public nights in an archive: ``night, url, md5, size [bytes], packets, complete, ..``, the oldest first."""
    return _native.releases(None if archive is None else Path(archive))
