"""Where compiled kernels are kept between runs: one folder for each state of the kernels' sources.

Numba looks at the file of a kernel only: that a kernel which it calls has changed in another module goes unnoticed. So
the folder's name is a digest of the sources of all kernels and of what they import. Where those lie does not matter.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

import numba

_PACKAGES = ("state", "operators")
_KERNELS = re.compile(r"^from (?:state\.compiled|numba\.extending) import", re.MULTILINE)
_IMPORT = re.compile(rf"^from ((?:{'|'.join(_PACKAGES)})\.\w+) import", re.MULTILINE)
_FOLDER_NAME = re.compile(r"[0-9a-f]{32}")

MAX_AGE_SECONDS = 30 * 86_400
"""Folders of other sources that nobody used for so long are removed."""

NUMBA_SETTING = "NUMBA_CACHE_DIR"
"""The environment variable that puts the folders elsewhere."""


def sources_digest(root: Path) -> str:
    """A digest, 32 hexadecimal digits, of what kernels are compiled from under ``root`` and of what compiles them."""
    sources = {
        f"{package}.{path.stem}": path.read_bytes() for package in _PACKAGES for path in (root / package).glob("*.py")
    }
    texts = {name: source.decode() for name, source in sources.items()}
    waiting = [name for name, text in texts.items() if _KERNELS.search(text)]
    concerned = set(waiting)
    while waiting:
        imported = set(_IMPORT.findall(texts[waiting.pop()])) & texts.keys() - concerned
        concerned |= imported
        waiting += imported
    digest = hashlib.sha256(f"{sys.version} {numba.__version__}".encode())
    for name in sorted(concerned):
        digest.update(f"\0{name}\0{len(sources[name])}\0".encode())
        digest.update(sources[name])
    return digest.hexdigest()[:32]


@cache
def kernel_folder() -> Path:
    """This process's folder, made if it is missing.

    It lies under ``NUMBA_CACHE_DIR`` if that is set, else under the user's cache folder, and if neither can be written,
    under a temporary one that goes with the process (processes that it starts use it too).
    """
    digest = sources_digest(Path(__file__).parent.parent)
    given = os.environ.get(NUMBA_SETTING)
    base = given or os.path.join(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "cem-engine", "kernels")
    try:
        folder = _made(Path(base).absolute() / digest)
    except OSError:
        base = os.environ[NUMBA_SETTING] = tempfile.mkdtemp(prefix="cem-kernels-")
        atexit.register(shutil.rmtree, base, ignore_errors=True)
        return _made(Path(base) / digest)
    if not given:
        remove_old(folder)
    return folder


def _made(folder: Path) -> Path:
    """The folder, there, found to be writable and marked as used just now."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
    os.utime(folder)
    return folder


def remove_old(folder: Path) -> None:
    """Remove the siblings of a folder just used that were not used for long; what cannot be removed stays."""
    used = folder.stat().st_mtime
    for other in folder.parent.iterdir():
        try:
            old = _FOLDER_NAME.fullmatch(other.name) and used - other.stat().st_mtime > MAX_AGE_SECONDS
        except OSError:  # another process removes it
            continue
        if old:
            shutil.rmtree(other, ignore_errors=True)
