"""A download from a server that misbehaves: refused by name, and nothing is left."""

import dataclasses
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from data_case import small_archive
from hypothesis import example, given
from hypothesis import strategies as st

from diffattn import load_imdb
from diffattn.data import imdb
from diffattn.errors import DataError

pytestmark = [pytest.mark.campaign, pytest.mark.slow]


@dataclasses.dataclass
class Answer:
    """What the server sends: a status, a promised length, and a body cut somewhere.

    An endless body is sent again and again, as long as somebody reads.
    """

    status: int = 200
    length: int | None = None
    body: bytes = b""
    endless: bool = False


@contextmanager
def serving(answer):
    """The address of a server that gives the answer, whatever is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answer.status)
            if 300 <= answer.status < 400:
                self.send_header("Location", self.path)  # round and round
            if answer.length is not None:
                self.send_header("Content-Length", str(answer.length))
            self.end_headers()
            with suppress(ConnectionError):  # nobody reads any more
                self.wfile.write(answer.body)
                while answer.endless:
                    self.wfile.write(answer.body)

        def log_message(self, *ignored):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/a.tar.gz"
        server.shutdown()


@contextmanager
def published(answer):
    """A small data set that the server offers: its archive, and the cache folder."""
    with small_archive() as path, serving(answer) as url:
        content = path.read_bytes()
        cache = path.parent / "cache"
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv(imdb.IMDB_VARIABLE, raising=False)
            patch.setenv("XDG_CACHE_HOME", str(cache))
            changes = {"url": url, "size": len(content)}
            changes["sha256"] = hashlib.sha256(content).hexdigest()
            patch.setattr(imdb, "IMDB", dataclasses.replace(imdb.IMDB, **changes))
            yield content, cache


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


FAULTS = {
    "cut": lambda content, at: Answer(length=len(content), body=content[:at]),
    "cut without a length": lambda content, at: Answer(body=content[:at]),
    "damaged": lambda content, at: Answer(
        length=len(content),
        body=content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
    ),
    "longer": lambda content, at: Answer(body=content + content[: at + 1]),
    "endless": lambda content, at: Answer(body=content + bytes(2**16), endless=True),
    "a page in its place": lambda content, at: Answer(body=b"<html>" + bytes(at)),
    "not found": lambda content, at: Answer(404, 0),
    "broken": lambda content, at: Answer(503, 0),
    "a loop": lambda content, at: Answer(302, 0),
}


def check_good_download(cache, content):
    found = load_imdb(validation_split=0.5)
    assert len(found.train) + len(found.validation) == len(found.test) == 6
    assert [file.read_bytes() for file in files_in(cache)] == [content]


@given(st.sampled_from(sorted(FAULTS)), st.floats(0, 1, exclude_max=True))
@example("cut", 0.0)
@example("endless", 0.0)
def test_a_bad_download_is_refused_and_the_next_good_one_works(fault, share):
    answer = Answer()
    with published(answer) as (content, cache):
        bad = FAULTS[fault](content, int(share * len(content)))
        vars(answer).update(vars(bad))
        with pytest.raises(DataError, match=r"could not download|gave .* bytes"):
            load_imdb(validation_split=0.5)
        assert files_in(cache) == []
        vars(answer).update(vars(Answer(length=len(content), body=content)))
        check_good_download(cache, content)


def test_two_may_fetch_at_the_same_time():
    answer = Answer()
    with published(answer) as (content, cache):
        vars(answer).update(vars(Answer(length=len(content), body=content)))
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(load_imdb, validation_split=0.5) for _ in range(2)]
        assert [len(future.result().test) for future in both] == [6, 6]
        check_good_download(cache, content)
