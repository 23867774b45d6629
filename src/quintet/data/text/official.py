"""Where the files of a public set of texts are found: a folder in params.yaml, or the mirror."""

from __future__ import annotations

from pathlib import Path

from quintet.data.options import OfficialTextOptions
from quintet.data.places import find
from quintet.errors import UserError


def folder_of(where: str, options: OfficialTextOptions, layout: str, file: str) -> tuple[Path, dict[str, str]]:
    """The folder that holds `file`, and what `source` says of it; a UserError where there is none."""
    place = find(where, options.path, dict.fromkeys((layout, "."), file))
    if place is None:
        right = f"name a mirror with {layout}/{file} in QUINTET_DATA, or give the folder as `path`"
        raise UserError(where, "the set's files are not here and cannot be downloaded", right)
    return place.folder, {"took": place.took, "path": place.path, "note": ""}
