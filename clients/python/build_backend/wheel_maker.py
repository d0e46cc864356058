"""Makes the wheel of the client (PEP 517), by the standard library alone, so that pip installs it without any download:

    pip install --no-index ./clients/python

A wheel is a zip of the package and three files of metadata (PEP 427). The same sources give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

HERE = Path(__file__).resolve().parent.parent
SOURCES = HERE / "src"
TAG = "py3-none-any"
WHEN = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold


def setting(name: str) -> str:
    """A text of the table [project] of pyproject.toml. Python before 3.11 has no reader of TOML."""
    text = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    table = text.split("[project]", 1)[1].split("\n[", 1)[0]
    found = re.search(r'(?m)^%s = "([^"]*)"$' % re.escape(name), table)
    if found is None:
        raise RuntimeError("pyproject.toml has no %s in its table [project]" % name)
    return found.group(1)


def names() -> Tuple[str, str]:
    """How the wheel and its directory of metadata begin, and the version."""
    return setting("name").replace("-", "_"), setting("version")


def metadata() -> Dict[str, bytes]:
    """The files of metadata but the list of all files, by their paths in the wheel."""
    name, version = names()
    about = "\n".join([
        "Metadata-Version: 2.1",
        "Name: " + setting("name"),
        "Version: " + version,
        "Summary: " + setting("description"),
        "License: Apache-2.0",
        "Requires-Python: " + setting("requires-python"),
        "Description-Content-Type: text/markdown",
        "",
        (HERE / "README.md").read_text(encoding="utf-8"),
    ])
    wheel = "Wheel-Version: 1.0\nGenerator: wheel_maker\nRoot-Is-Purelib: true\nTag: %s\n" % TAG
    folder = "%s-%s.dist-info/" % (name, version)
    return {folder + "METADATA": about.encode("utf-8"), folder + "WHEEL": wheel.encode("utf-8")}


def package() -> Dict[str, bytes]:
    """The files of the package, by their paths in the wheel."""
    found = sorted(p for p in SOURCES.rglob("*") if p.suffix == ".py" or p.name == "py.typed")
    return {p.relative_to(SOURCES).as_posix(): p.read_bytes() for p in found}


def write(path: Path, files: Dict[str, bytes]) -> None:
    """Writes a wheel, with the list of all files and their hashes behind them."""
    name, version = names()
    lines: List[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:

        def add(inside: str, content: bytes) -> None:
            entry = zipfile.ZipInfo(inside, WHEN)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(entry, content)

        for inside, content in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode("ascii")
            lines.append("%s,sha256=%s,%d" % (inside, digest, len(content)))
            add(inside, content)
        record = "%s-%s.dist-info/RECORD" % (name, version)
        add(record, ("\n".join(lines + [record + ",,"]) + "\n").encode("utf-8"))


def build_wheel(wheel_directory: str, config_settings: Optional[Dict[str, Any]] = None, metadata_directory: Optional[str] = None) -> str:
    """PEP 517: makes the wheel, and returns its name."""
    file = "%s-%s-%s.whl" % (names() + (TAG,))
    write(Path(wheel_directory) / file, {**package(), **metadata()})
    return file


def build_editable(wheel_directory: str, config_settings: Optional[Dict[str, Any]] = None, metadata_directory: Optional[str] = None) -> str:
    """PEP 660: a wheel that points to the sources, for who works on them (pip install -e)."""
    file = "%s-%s-%s.whl" % (names() + (TAG,))
    pointer = {"ucp_client.pth": (str(SOURCES) + "\n").encode("utf-8")}
    write(Path(wheel_directory) / file, {**pointer, **metadata()})
    return file


def build_sdist(sdist_directory: str, config_settings: Optional[Dict[str, Any]] = None) -> str:
    """PEP 517: packs the sources, and returns the name of the archive."""
    top = "%s-%s" % names()
    with tarfile.open(Path(sdist_directory) / (top + ".tar.gz"), "w:gz", format=tarfile.PAX_FORMAT) as out:
        for p in sorted(HERE.rglob("*")):
            inside = p.relative_to(HERE)
            if p.is_file() and "__pycache__" not in inside.parts and p.suffix in (".py", ".toml", ".md", ".typed"):
                entry = tarfile.TarInfo("%s/%s" % (top, inside.as_posix()))
                content = p.read_bytes()
                entry.size = len(content)
                out.addfile(entry, io.BytesIO(content))
        about = next(v for k, v in metadata().items() if k.endswith("METADATA"))
        entry = tarfile.TarInfo(top + "/PKG-INFO")
        entry.size = len(about)
        out.addfile(entry, io.BytesIO(about))
    return top + ".tar.gz"
