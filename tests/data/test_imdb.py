import bz2
import dataclasses
import functools
import hashlib
import http.server
import io
import lzma
import os
import socketserver
import tarfile
import threading
import tracemalloc
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
    """A small data set of our own in the layout of aclImdb."""
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


def archived_files(folders, root):
    """Yield each file's name in an archive and its content."""
    yield f"{root}README", b"about"
    yield f"{root}train/unsup/0_0.txt", b"without a label"
    for folder, files in folders.items():
        for name, content in files.items():
            yield f"{root}{folder}/{name}", content


def write_archive(path, folders, mode="w:gz", roots=("aclImdb/",)):
    with tarfile.open(path, mode) as archive:
        for root in roots:
            for name, content in archived_files(folders, root):
                add(archive, name, content)
    return path


def write_zip(path, folders, roots=("aclImdb/",), separator="/"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for root in roots:
            for name, content in archived_files(folders, root):
                archive.writestr(name.replace("/", separator), content)
    return path


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small data set in place of IMDB's, read by the same code."""
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
    reviews = load_imdb(source, validation_split=0.5)
    assert reviews.name == "imdb"
    assert reviews.fingerprint == data.IMDB.fingerprint
    assert len(reviews.train) == len(reviews.validation) == PER_FOLDER
    texts = {*reviews.train.texts, *reviews.validation.texts}
    expected = {
        content.decode() for folder in FOLDERS[:2] for content in small[folder].values()
    }
    assert texts == expected
    for part in (reviews.train, reviews.validation, reviews.test):
        for text, label in zip(part.texts, part.labels, strict=True):
            assert ("/pos" in text) == (label == 1)


ROOTS = ["imdb/", "", "./", "data/sets/aclImdb_v1/", "/home/somebody/aclImdb/"]


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("write", [write_archive, write_zip])
def test_an_archive_may_have_any_root(write, root, small, tmp_path):
    reviews = load_imdb(write(tmp_path / "reviews", small, roots=[root]))
    assert reviews.fingerprint == data.IMDB.fingerprint
    assert len(reviews.test) == 2 * PER_FOLDER


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
def test_two_copies_in_one_archive_are_refused(write, small, tmp_path):
    source = write(tmp_path / "reviews", small, roots=["b/", "a/"])
    with pytest.raises(DataError, match=r"more than one folder: a, b\. Give one of"):
        load_imdb(source)


def test_two_copies_in_one_folder_are_refused(small, tmp_path):
    for name in ("a", "b"):
        write_folder(tmp_path / name, small)
    with pytest.raises(DataError, match=r"more than one folder: .*/a, .*/b\. Give one"):
        load_imdb(tmp_path)
    (tmp_path / "b").rename(tmp_path / "aclImdb")  # the usual name takes precedence
    assert load_imdb(tmp_path).fingerprint == data.IMDB.fingerprint


def test_two_halves_in_different_folders_are_refused(small, tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for folder, files in small.items():
            for name, content in files.items():
                add(archive, f"{folder[:2]}/{folder}/{name}", content)
    with pytest.raises(DataError, match="more than one folder: te, tr"):
        load_imdb(path)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_keras_splits_the_same_way(share, small, tmp_path):
    root = write_folder(tmp_path / "aclImdb", small)
    (root / "train" / "unsup" / "0_0.txt").unlink()
    (root / "train" / "unsup").rmdir()
    reviews = load_imdb(root, validation_split=share, seed=42)
    for subset, part in (
        ("training", reviews.train),
        ("validation", reviews.validation),
    ):
        expected = keras.utils.text_dataset_from_directory(
            root / "train",
            validation_split=share,
            subset=subset,
            seed=42,
            batch_size=None,
            shuffle=True,
            verbose=False,
        )
        pairs = {(text.numpy().decode(), int(label)) for text, label in expected}
        assert pairs == set(zip(part.texts, part.labels, strict=True))


def test_another_seed_gives_another_split(small, tmp_path):
    source = write_archive(tmp_path / "a.tar", small, "w")
    one, again, other = (load_imdb(source, seed=s) for s in (1, 1, 2))
    assert list(one.train.texts) == list(again.train.texts)
    assert set(one.train.texts) != set(other.train.texts)
    assert one.fingerprint == other.fingerprint


def test_missing_reviews_are_named(small, tmp_path):
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
    with pytest.raises(DataError, match=r"cut\.tar\.gz is not a readable archive"):
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


def in_place_of_a_review(path, make):
    path.unlink()
    make(path)


@pytest.mark.skipif(os.name != "posix", reason="makes a POSIX pipe")
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path.name)]
)
def test_what_is_no_file_in_a_reviews_place_is_named(make, small, tmp_path):
    """A pipe would keep the reader waiting for ever."""
    root = write_folder(tmp_path / "aclImdb", small)
    in_place_of_a_review(root / "train" / "pos" / "1_2.txt", make)
    with pytest.raises(DataError, match=r"train/pos/1_2\.txt cannot be read: "):
        load_imdb(root)


def test_a_loop_of_links_in_the_datas_place_is_named(small, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError, match=r"there is no file or folder .*loop"):
        load_imdb(tmp_path / "loop")


BOMB = 2**31  # bytes of zeros in each of the archives below


def write_sparse_tar(path):
    """A review that is a hole: a header that says so, and no content."""
    entry = tarfile.TarInfo("aclImdb/train/pos/0_9.txt")
    entry.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = f"{BOMB:011o}\0".encode()  # the size when unpacked
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    path.write_bytes(lzma.compress(bytes(header) + bytes(1024)))


def write_long_name(path):
    """A name of gigabytes, which tarfile reads whole before anything else."""
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, BOMB
    with bz2.open(path, "wb") as file:
        file.write(entry.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(bytes(2**20))


def write_bzip2(path):
    """A file of 64 MiB of zeros, which tarfile unpacks at once by itself."""
    with bz2.open(path, "wb") as file:
        for _ in range(64):
            file.write(bytes(2**20))


def write_zip_bomb(path):
    """A review that unpacks to more than its entry says."""
    name = "train/pos/0_9.txt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(2**26))
    content = path.read_bytes()
    path.write_bytes(content.replace((2**26).to_bytes(4, "little"), b"\x0a\0\0\0"))


def write_many_entries(path):
    """Many empty files, of which tarfile by itself keeps every header."""
    entry = tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT)
    with bz2.open(path, "wb") as file:
        for _ in range(51):
            file.write(1000 * entry)


@pytest.mark.parametrize(
    "write",
    [
        write_sparse_tar,
        write_long_name,
        write_bzip2,
        write_zip_bomb,
        write_many_entries,
    ],
)
def test_a_bomb_is_refused_in_little_memory(write, small, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_MOST_ENTRIES", 50_000)  # a million take minutes
    write(tmp_path / "bomb")
    assert (tmp_path / "bomb").stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"bomb is not (a readable|the )"):
            load_imdb(tmp_path / "bomb")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_reviews_are_bounded_together(small, tmp_path, monkeypatch):
    source = write_archive(tmp_path / "a.tar", small, "w")
    total = sum(len(text) for files in small.values() for text in files.values())
    monkeypatch.setattr(data, "_LARGEST_TOGETHER", total)
    assert len(load_imdb(source).test) == 2 * PER_FOLDER
    monkeypatch.setattr(data, "_LARGEST_TOGETHER", total - 1)
    with pytest.raises(DataError, match=f"holds has {total:,} bytes, the most"):
        load_imdb(source)


def test_an_archive_that_unpacks_to_terabytes_is_not_read_through(small, tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("README")
        archive.addfile(entry)
    entry.size = 2**40
    path.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(DataError, match=r"it has 1,099,511,628,288 bytes"):
        load_imdb(path)


@pytest.mark.skipif(os.name != "posix", reason="makes a POSIX pipe")
def test_an_archive_may_come_through_a_pipe(small, tmp_path):
    content = write_archive(tmp_path / "a.tar.gz", small).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[content])
    writer.start()
    assert len(load_imdb(tmp_path / "pipe").test) == 2 * PER_FOLDER
    writer.join()


def test_text_that_is_not_utf_8_is_named(small, tmp_path, monkeypatch):
    small["train/pos"]["2_3.txt"] = b"\xff\xfe"
    replace_release(monkeypatch, fingerprint=data.fingerprint(small))
    with pytest.raises(DataError, match=r"train/pos/2_3\.txt is not UTF-8"):
        load_imdb(write_archive(tmp_path / "a.tar", small, "w"))


def test_an_archive_cannot_write_anywhere(small, tmp_path, monkeypatch):
    """Names with "..", absolute names and links are skipped."""
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
def test_an_invalid_share_is_named(share, small, tmp_path):
    with pytest.raises(ValueError, match="validation_split must be"):
        load_imdb(tmp_path, validation_split=share)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None])
def test_an_invalid_seed_is_named_before_anything_is_read(seed, small, tmp_path):
    with pytest.raises(ValueError, match=f"seed must be an integer.*seed={seed}"):
        load_imdb(tmp_path / "nowhere", seed=seed)


def test_an_unknown_users_home_is_named(small, monkeypatch):
    with pytest.raises(DataError, match="there is no file or folder ~nobody-here/x: "):
        load_imdb("~nobody-here/x")
    monkeypatch.setenv(data.IMDB_VARIABLE, "~nobody-here/x")
    with pytest.raises(DataError, match="there is no file or folder ~nobody-here/x: "):
        load_imdb()


def test_a_tilde_is_the_users_home(small, tmp_path, monkeypatch):
    write_folder(tmp_path / "aclImdb", small)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_imdb("~/aclImdb").fingerprint == data.IMDB.fingerprint
    monkeypatch.setenv(data.IMDB_VARIABLE, "~/aclImdb")
    assert load_imdb().fingerprint == data.IMDB.fingerprint


def test_a_share_that_leaves_no_reviews_is_named(small, tmp_path):
    source = write_archive(tmp_path / "a.tar", small, "w")
    with pytest.raises(ValueError, match=r"validation_split=0\.01 of 14 reviews"):
        load_imdb(source, validation_split=0.01)


@pytest.fixture
def server(tmp_path):
    """A real HTTP server on this machine that records the requested paths."""
    folder = tmp_path / "served"
    folder.mkdir()
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *ignored):
            requests.append(self.path)

    handler = functools.partial(Handler, directory=folder)
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{served.server_address[1]}", requests
        served.shutdown()
        thread.join()


@pytest.fixture
def published(small, server, monkeypatch):
    """The small data set, published on that server."""
    folder, url, requests = server
    content = write_archive(folder / "a.tar.gz", small).read_bytes()
    replace_release(
        monkeypatch,
        url=f"{url}/a.tar.gz",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return folder / "a.tar.gz", requests


def cached_files(tmp_path):
    return [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_the_archive_is_downloaded_once_and_cached(published, tmp_path):
    _, requests = published
    assert len(load_imdb(progress=True).test) == 2 * PER_FOLDER
    assert len(load_imdb().test) == 2 * PER_FOLDER
    assert requests == ["/a.tar.gz"]
    assert cached_files(tmp_path) == ["a.tar.gz"]


def test_a_download_of_another_size_is_refused_and_not_cached(published, tmp_path):
    file, _ = published
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DataError, match=f"gave {size - 5:,} bytes instead of {size:,}"):
        load_imdb()
    assert cached_files(tmp_path) == []


def test_a_download_with_other_content_is_refused_and_not_cached(published, tmp_path):
    file, _ = published
    content = bytearray(file.read_bytes())
    content[50] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"could not download.*SHA256 hash"):
        load_imdb()
    assert cached_files(tmp_path) == []


def test_without_a_network_the_error_names_the_alternatives(published, monkeypatch):
    replace_release(monkeypatch, url="http://127.0.0.1:9/a.tar.gz")
    with pytest.raises(DataError, match=r"could not download.*set DIFFATTN_IMDB\."):
        load_imdb()


def test_the_environment_variable_names_a_copy(small, tmp_path, monkeypatch):
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
    reviews = load_imdb()
    sizes = [len(getattr(reviews, p)) for p in ("train", "validation", "test")]
    assert sizes == [20_000, 5_000, 25_000]
    assert reviews.test.labels.mean() == 0.5
    labels = np.concatenate([reviews.train.labels, reviews.validation.labels])
    assert labels.mean() == 0.5
    assert reviews.fingerprint == data.IMDB.fingerprint


@real
@pytest.mark.weekly
def test_the_real_reviews_in_other_archives(tmp_path):
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
