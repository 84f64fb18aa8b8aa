import dataclasses
import functools
import hashlib
import http.server
import io
import os
import socketserver
import tarfile
import threading
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from diffattn import load_imdb
from diffattn.data import imdb as data
from diffattn.errors import DataError

FOLDERS = ("train/neg", "train/pos", "test/neg", "test/pos")
PER_FOLDER = 7


def small_folders():
    """Reviews in the layout of aclImdb, few and of our own."""
    return {
        folder: {
            f"{i}_{1 + i % 4}.txt": f"Été {folder} «review» {i}<br />".encode()
            for i in range(PER_FOLDER)
        }
        for folder in FOLDERS
    }


def write_folder(root, folders):
    for folder, files in folders.items():
        (root / folder).mkdir(parents=True)
        for name, content in files.items():
            (root / folder / name).write_bytes(content)
    (root / "train" / "urls_pos.txt").write_text("not a review")
    (root / "train" / "unsup").mkdir()
    (root / "train" / "unsup" / "0_0.txt").write_text("without a label")
    return root


def add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def in_archive(folders, root):
    """Each file's name in an archive, and its content."""
    yield f"{root}README", b"about"
    yield f"{root}train/unsup/0_0.txt", b"without a label"
    for folder, files in folders.items():
        for name, content in files.items():
            yield f"{root}{folder}/{name}", content


def write_archive(path, folders, mode="w:gz", roots=("aclImdb/",)):
    with tarfile.open(path, mode) as archive:
        for root in roots:
            for name, content in in_archive(folders, root):
                add(archive, name, content)
    return path


def write_zip(path, folders, roots=("aclImdb/",), separator="/"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for root in roots:
            for name, content in in_archive(folders, root):
                archive.writestr(name.replace("/", separator), content)
    return path


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small data set in the place of the large one: same code, other numbers."""
    folders = small_folders()
    monkeypatch.delenv(data.IMDB_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    replace_release(
        monkeypatch,
        reviews_per_folder=PER_FOLDER,
        fingerprint=data.fingerprint(folders),
    )
    return folders


def replace_release(monkeypatch, **changes):
    monkeypatch.setattr(data, "IMDB", dataclasses.replace(data.IMDB, **changes))


@pytest.mark.parametrize("kind", ["folder", "above it", "tar.gz", "tar", "tar.xz"])
def test_folder_and_archive_give_the_same(kind, small, tmp_path):
    if kind in ("folder", "above it"):
        root = write_folder(tmp_path / "aclImdb", small)
        source = root if kind == "folder" else tmp_path
    else:
        mode = {"tar.gz": "w:gz", "tar": "w", "tar.xz": "w:xz"}[kind]
        source = write_archive(tmp_path / f"reviews.{kind}", small, mode)
    found = load_imdb(source, validation_split=0.5)
    assert found.name == "imdb"
    assert found.fingerprint == data.IMDB.fingerprint
    assert len(found.train) == len(found.validation) == PER_FOLDER
    texts = {*found.train.texts, *found.validation.texts}
    wanted = {
        content.decode() for folder in FOLDERS[:2] for content in small[folder].values()
    }
    assert texts == wanted
    for part in (found.train, found.validation, found.test):
        for text, label in zip(part.texts, part.labels, strict=True):
            assert ("/pos" in text) == (label == 1)


ROOTS = ["imdb/", "", "./", "data/sets/aclImdb_v1/", "/home/somebody/aclImdb/"]


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("write", [write_archive, write_zip])
def test_an_archive_may_have_any_root(write, root, small, tmp_path):
    found = load_imdb(write(tmp_path / "reviews", small, roots=[root]))
    assert found.fingerprint == data.IMDB.fingerprint
    assert len(found.test) == 2 * PER_FOLDER


def test_a_zip_archive_may_come_from_windows(small, tmp_path):
    source = write_zip(tmp_path / "reviews.zip", small, separator="\\")
    assert load_imdb(source).fingerprint == data.IMDB.fingerprint


@pytest.mark.parametrize("root", ["imdb", "data/aclImdb", "data/Large Movie Reviews"])
def test_a_folder_may_have_any_name(root, small, tmp_path):
    write_folder(tmp_path / root, small)
    (tmp_path / "link").symlink_to(tmp_path / root)
    for source in (tmp_path, tmp_path / root, tmp_path / "link"):
        assert load_imdb(source).fingerprint == data.IMDB.fingerprint


@pytest.mark.parametrize("write", [write_archive, write_zip])
def test_two_copies_in_one_archive_are_not_mixed(write, small, tmp_path):
    source = write(tmp_path / "reviews", small, roots=["b/", "a/"])
    with pytest.raises(DataError, match=r"more than one folder: a, b\. Give one of"):
        load_imdb(source)


def test_two_copies_in_one_folder_are_not_mixed(small, tmp_path):
    for name in ("a", "b"):
        write_folder(tmp_path / name, small)
    with pytest.raises(DataError, match=r"more than one folder: .*/a, .*/b\. Give one"):
        load_imdb(tmp_path)
    (tmp_path / "b").rename(tmp_path / "aclImdb")  # the name that it has
    assert load_imdb(tmp_path).fingerprint == data.IMDB.fingerprint


def test_half_of_one_and_half_of_another_are_no_copy(small, tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for folder, files in small.items():
            for name, content in files.items():
                add(archive, f"{folder[:2]}/{folder}/{name}", content)
    with pytest.raises(DataError, match="more than one folder: te, tr"):
        load_imdb(path)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_split_is_the_one_of_keras(share, small, tmp_path):
    root = write_folder(tmp_path / "aclImdb", small)
    (root / "train" / "unsup" / "0_0.txt").unlink()
    (root / "train" / "unsup").rmdir()
    found = load_imdb(root, validation_split=share, seed=42)
    for subset, mine in (("training", found.train), ("validation", found.validation)):
        theirs = keras.utils.text_dataset_from_directory(
            root / "train",
            validation_split=share,
            subset=subset,
            seed=42,
            batch_size=None,
            shuffle=True,
            verbose=False,
        )
        pairs = {(text.numpy().decode(), int(label)) for text, label in theirs}
        assert pairs == set(zip(mine.texts, mine.labels, strict=True))


def test_another_seed_splits_otherwise(small, tmp_path):
    source = write_archive(tmp_path / "a.tar", small, "w")
    one, again, other = (load_imdb(source, seed=s) for s in (1, 1, 2))
    assert list(one.train.texts) == list(again.train.texts)
    assert set(one.train.texts) != set(other.train.texts)
    assert one.fingerprint == other.fingerprint


def test_what_is_missing_is_said(small, tmp_path):
    with pytest.raises(DataError, match="there is no file or folder"):
        load_imdb(tmp_path / "nowhere")
    del small["test/pos"]["3_4.txt"]
    small["train/neg"].clear()
    with pytest.raises(
        DataError, match="hold 7 reviews, but train/neg has 0, test/pos"
    ):
        load_imdb(write_folder(tmp_path / "aclImdb", small))
    (tmp_path / "else").mkdir()
    with pytest.raises(DataError, match="is not the whole aclImdb data set"):
        load_imdb(tmp_path / "else")


def test_other_reviews_are_refused(small, tmp_path):
    small["test/pos"]["3_4.txt"] = b""
    with pytest.raises(DataError, match="not those of the Large Movie Review Dataset"):
        load_imdb(write_folder(tmp_path / "aclImdb", small))


def test_a_damaged_archive_is_refused(small, tmp_path):
    whole = write_archive(tmp_path / "a.tar.gz", small).read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.tar\.gz is not the whole aclImdb"):
        load_imdb(cut)
    whole = write_zip(tmp_path / "a.zip", small).read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"train/neg/1_2.txt") + 20] ^= 1
    encrypted = whole.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0")
    assert len({whole, bytes(flipped), encrypted}) == 3
    for damaged in (b"no archive at all", whole[:-50], bytes(flipped), encrypted):
        cut.write_bytes(damaged)
        with pytest.raises(DataError, match=r"cut\.tar\.gz is not a readable arch"):
            load_imdb(cut)


def test_text_that_is_not_utf_8_is_named(small, tmp_path, monkeypatch):
    small["train/pos"]["2_3.txt"] = b"\xff\xfe"
    replace_release(monkeypatch, fingerprint=data.fingerprint(small))
    with pytest.raises(DataError, match=r"train/pos/2_3\.txt is not UTF-8"):
        load_imdb(write_archive(tmp_path / "a.tar", small, "w"))


def test_an_archive_cannot_write_anywhere(small, tmp_path, monkeypatch):
    """Names that climb out, absolute ones and links are passed over."""
    path = tmp_path / "evil" / "a.tar"
    path.parent.mkdir()
    write_archive(path, small, "w")
    with tarfile.open(path, "a") as archive:
        add(archive, "aclImdb/../../train/pos/66_6.txt", b"out")
        add(archive, f"{tmp_path}/escaped.txt", b"out")
        link = tarfile.TarInfo("aclImdb/train/pos/77_7.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(path.parent)
    assert len(load_imdb(path).test) == 2 * PER_FOLDER
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_outside_its_bounds_is_named(share, small, tmp_path):
    with pytest.raises(ValueError, match="validation_split must be"):
        load_imdb(tmp_path, validation_split=share)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None])
def test_a_seed_that_numpy_does_not_take_is_named_first_of_all(seed, small, tmp_path):
    with pytest.raises(ValueError, match=f"seed must be an integer.*seed={seed}"):
        load_imdb(tmp_path / "nowhere", seed=seed)


def test_the_home_of_nobody_is_told(small, monkeypatch):
    with pytest.raises(DataError, match="there is no file or folder ~nobody-here/x: "):
        load_imdb("~nobody-here/x")
    monkeypatch.setenv(data.IMDB_VARIABLE, "~nobody-here/x")
    with pytest.raises(DataError, match="there is no file or folder ~nobody-here/x: "):
        load_imdb()


def test_a_copy_in_the_users_home(small, tmp_path, monkeypatch):
    write_folder(tmp_path / "aclImdb", small)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_imdb("~/aclImdb").fingerprint == data.IMDB.fingerprint
    monkeypatch.setenv(data.IMDB_VARIABLE, "~/aclImdb")
    assert load_imdb().fingerprint == data.IMDB.fingerprint


def test_a_share_that_leaves_nothing_is_named(small, tmp_path):
    source = write_archive(tmp_path / "a.tar", small, "w")
    with pytest.raises(ValueError, match=r"validation_split=0\.01 of 14 reviews"):
        load_imdb(source, validation_split=0.01)


@pytest.fixture
def server(tmp_path):
    """A real HTTP server on this machine that counts what is asked of it."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *ignored):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=folder)
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{served.server_address[1]}", asked
        served.shutdown()
        thread.join()


@pytest.fixture
def published(small, server, monkeypatch):
    """The small data set, published on that server."""
    folder, url, asked = server
    content = write_archive(folder / "a.tar.gz", small).read_bytes()
    replace_release(
        monkeypatch,
        url=f"{url}/a.tar.gz",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return folder / "a.tar.gz", asked


def cached(tmp_path):
    return [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_downloaded_once_and_kept(published, tmp_path):
    _, asked = published
    assert len(load_imdb(progress=True).test) == 2 * PER_FOLDER
    assert len(load_imdb().test) == 2 * PER_FOLDER
    assert asked == ["/a.tar.gz"]
    assert cached(tmp_path) == ["a.tar.gz"]


def test_a_download_of_another_size_is_refused_and_not_kept(published, tmp_path):
    file, _ = published
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DataError, match=f"gave {size - 5:,} bytes instead of {size:,}"):
        load_imdb()
    assert cached(tmp_path) == []


def test_a_download_of_other_content_is_refused_and_not_kept(published, tmp_path):
    file, _ = published
    content = bytearray(file.read_bytes())
    content[50] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"could not download.*SHA256 hash"):
        load_imdb()
    assert cached(tmp_path) == []


def test_without_a_network_the_way_out_is_told(published, monkeypatch):
    replace_release(monkeypatch, url="http://127.0.0.1:9/a.tar.gz")
    with pytest.raises(DataError, match=r"could not download.*set DIFFATTN_IMDB\."):
        load_imdb()


def test_the_environment_names_a_copy(small, tmp_path, monkeypatch):
    source = write_archive(tmp_path / "a.tar", small, "w")
    monkeypatch.setenv(data.IMDB_VARIABLE, str(source))
    assert len(load_imdb().test) == 2 * PER_FOLDER
    monkeypatch.setenv(data.IMDB_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"DIFFATTN_IMDB names .*gone, which does not"):
        load_imdb()


real = pytest.mark.skipif(
    not Path(os.environ.get(data.IMDB_VARIABLE, "")).is_file(),
    reason="DIFFATTN_IMDB names no archive of the real reviews",
)


@real
def test_the_real_reviews():
    """Maas et al. (2011): 25,000 reviews to train, 25,000 to test, half positive."""
    found = load_imdb()
    assert [len(getattr(found, p)) for p in ("train", "validation", "test")] == [
        20_000,
        5_000,
        25_000,
    ]
    assert found.test.labels.mean() == 0.5
    both = np.concatenate([found.train.labels, found.validation.labels])
    assert both.mean() == 0.5
    assert found.fingerprint == data.IMDB.fingerprint


@real
def test_the_real_reviews_packed_another_way(tmp_path):
    tar, zipped, folder = tmp_path / "a.tar", tmp_path / "a.zip", tmp_path / "imdb"
    with (
        tarfile.open(os.environ[data.IMDB_VARIABLE]) as archive,
        tarfile.open(tar, "w") as without_root,
        zipfile.ZipFile(zipped, "w") as with_another_root,
    ):
        for entry in filter(tarfile.TarInfo.isreg, archive):
            name = entry.name.removeprefix("aclImdb/")
            content = archive.extractfile(entry).read()
            add(without_root, name, content)
            with_another_root.writestr(f"imdb/{name}", content)
    with tarfile.open(tar) as archive:
        archive.extractall(folder, filter="data")
    for source in (tar, zipped, folder):
        assert load_imdb(source).fingerprint == data.IMDB.fingerprint
