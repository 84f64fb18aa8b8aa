"""Fetch the Python that the exercises run in the page, and pack it for a script tag.

python book/fetch_micropython.py book/_extra/python

It is MicroPython compiled to WebAssembly, from npm, which has to be installed. A new
version is two new checksums below; the tests hold the stored file to them.
"""

import base64
import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

PACKAGE = "@micropython/micropython-webassembly-pyscript"
VERSION = "1.27.0"
SHA256 = {
    "micropython.mjs": (
        "c2be87e7ba24e3b47d133022b009a66bff07f4720aa23d816d216ef8cc47014c"
    ),
    "micropython.wasm": (
        "06338c955b03c5700aa0069015d3e392d76836ef8e2ce25bedbe59b88ccd373c"
    ),
}

# A page opened as a file may not fetch, but it may load a script: so the program is in
# one, as text.
HEADER = """\
// MicroPython {version} for the exercises, packed by book/fetch_micropython.py.
// Its licence is in LICENSE.txt beside this file.
"""


def check(name: str, content: bytes) -> None:
    """Raise ValueError unless this is the file whose checksum is pinned."""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise ValueError(f"{name} of {PACKAGE} {VERSION} has SHA-256 {found}")


def fetch() -> dict[str, bytes]:
    """Download the package and return the files that are needed, verified."""
    with TemporaryDirectory() as folder:
        pack = ["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"]
        subprocess.run(pack, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            files = {n: tar.extractfile(f"package/{n}").read() for n in SHA256}
    for name, content in files.items():
        check(name, content)
    return files


def pack(files: dict[str, bytes]) -> str:
    """Make a script that sets window.diffattnMicroPython to the compressed files."""
    packed = {
        name: base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
        for name, content in files.items()
    }
    value = json.dumps({"version": VERSION, "files": packed}, indent=1)
    return f"{HEADER.format(version=VERSION)}window.diffattnMicroPython = {value};\n"


def unpack(script: str) -> dict[str, bytes]:
    """Read the files out of such a script, as the page does."""
    _, _, value = script.partition("window.diffattnMicroPython = ")
    packed = json.loads(value.removesuffix(";\n"))["files"]
    return {
        name: gzip.decompress(base64.b64decode(text)) for name, text in packed.items()
    }


if __name__ == "__main__":
    Path(sys.argv[1], "micropython.js").write_text(pack(fetch()), encoding="utf-8")
