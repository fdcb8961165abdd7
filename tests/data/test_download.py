"""Finding MNIST's files and downloading them, with a server of our own on this machine."""

import gzip
import hashlib
import io
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pooch
import pytest

from needle.data import MNIST, DatasetNotFoundError, FashionMNIST, download

NAMES = ("images-idx3-ubyte", "labels-idx1-ubyte")


class Handler(BaseHTTPRequestHandler):
    """Answers with `server.files[path]`, or as the folder's name says."""

    def do_GET(self):
        self.server.asked.append(self.path)
        folder, _, name = self.path.strip("/").partition("/")
        content = self.server.files.get(name)
        if folder == "hang":
            self.server.released.wait(10)
            return
        if folder == "missing" or content is None:
            self.send_error(404)
            return
        if folder == "wrong":
            content = gzip.compress(b"something else")
        if folder == "page":
            content = b"<html>Please log in</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if folder == "short" else content)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.asked, server.released = {}, [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, on a machine where nothing says where MNIST is."""
    monkeypatch.delenv("NEEDLE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(download, "MIRRORS", [])
    return tmp_path / "cache" / "needle" / "mnist"


@pytest.fixture
def published(server, monkeypatch, to_idx):
    """Two small parts on the server, with their checksums in place of MNIST's."""
    parts = {}
    for part, table, count in (("train", "_TRAIN", 6), ("t10k", "_TEST", 3)):
        images = np.random.randint(0, 256, (count, 28, 28)).astype(np.uint8)
        parts[part] = (images, np.arange(count, dtype=np.uint8))
        checksums = {}
        for name, array in zip(NAMES, parts[part], strict=True):
            content = to_idx(array)
            server.files[f"{part}-{name}.gz"] = gzip.compress(content)
            checksums[f"{part}-{name}"] = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(download, table, checksums)
    return parts


def mirrors(monkeypatch, *urls):
    monkeypatch.setattr(download, "MIRRORS", list(urls))


def assert_is(dataset, part):
    images, labels = part
    np.testing.assert_array_equal(dataset.images[..., 0], images.astype(np.float32) / 255)
    np.testing.assert_array_equal(dataset.labels, labels)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def dead_url():
    """An address at which nothing listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        return f"http://127.0.0.1:{closed.server_port}/"


def test_downloads_once_and_then_needs_no_network(cache, published, server, monkeypatch):
    mirrors(monkeypatch, server.url + "good/")
    assert_is(MNIST(), published["train"])
    assert_is(MNIST(train=False), published["t10k"])
    assert len(server.asked) == 4
    assert names_in(cache) == sorted(f"{part}-{name}" for part in published for name in NAMES)
    assert_is(MNIST(download=False), published["train"])
    assert len(server.asked) == 4


def test_nothing_is_printed_or_logged_where_nobody_watches(
    cache, published, server, monkeypatch, capfd, caplog
):
    mirrors(monkeypatch, server.url + "missing/", server.url + "good/")
    MNIST()
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name == "pooch"] == []


def test_a_terminal_gets_a_progress_bar(cache, published, server, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    mirrors(monkeypatch, server.url + "good/")
    MNIST()
    assert "100%" in terminal.getvalue()


@pytest.mark.parametrize("bad", ["missing", "wrong", "page", "short", "dead"])
def test_the_next_mirror_takes_over(cache, published, server, monkeypatch, bad):
    first = dead_url() if bad == "dead" else f"{server.url}{bad}/"
    mirrors(monkeypatch, first, server.url + "good/")
    assert_is(MNIST(), published["train"])
    assert names_in(cache) == [f"train-{name}" for name in NAMES]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("missing", "404"),
        ("wrong", "content has SHA-256 .*, expected"),
        ("page", "content has SHA-256 .*, expected"),
        ("short", "IncompleteRead|more expected"),
    ],
)
def test_a_bad_download_is_never_left_behind(cache, published, server, monkeypatch, bad, reason):
    mirrors(monkeypatch, f"{server.url}{bad}/")
    with pytest.raises(DatasetNotFoundError, match=reason):
        MNIST()
    assert names_in(cache) == []


def test_a_mirror_whose_own_copy_is_cut_short(cache, published, server, monkeypatch):
    """The length that the server states fits what it sends; only the gzip data tells."""
    name = "train-images-idx3-ubyte.gz"
    server.files[name] = server.files[name][:-20]
    mirrors(monkeypatch, server.url + "good/")
    with pytest.raises(DatasetNotFoundError, match="end-of-stream"):
        MNIST()
    assert names_in(cache) == []


def test_a_server_that_unpacks_by_itself(cache, published, server, monkeypatch):
    server.files = {name: gzip.decompress(content) for name, content in server.files.items()}
    mirrors(monkeypatch, server.url + "good/")
    assert_is(MNIST(), published["train"])


def test_all_mirrors_dead_names_each_with_its_reason_and_the_ways_out(
    cache, published, server, monkeypatch, tmp_path
):
    dead = dead_url()
    mirrors(monkeypatch, dead, server.url + "missing/", server.url + "wrong/")
    with pytest.raises(DatasetNotFoundError) as caught:
        MNIST(root=tmp_path / "nowhere")
    text = str(caught.value)
    assert isinstance(caught.value, OSError)
    file = "train-images-idx3-ubyte.gz"
    assert f"{dead}{file}: [Errno" in text
    assert f"{server.url}missing/{file}: 404" in text
    assert f"{server.url}wrong/{file}: content has SHA-256" in text
    assert f"root {tmp_path / 'nowhere'}: no such folder" in text
    assert "$NEEDLE_DATA: not given" in text
    assert str(cache) in text
    for way_out in ("root=", "set $NEEDLE_DATA", "needle.data.Digits"):
        assert way_out in text
    assert len(server.asked) == 2  # the labels are not even asked for


def test_a_mirror_that_does_not_answer_is_left(cache, published, server, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    mirrors(monkeypatch, server.url + "hang/")
    with pytest.raises(DatasetNotFoundError, match="timed out"):
        MNIST()


def test_the_published_timeout_is_short():
    assert 5 <= download.TIMEOUT <= 15


def test_download_false_leaves_the_network_alone(cache, published, server, monkeypatch):
    mirrors(monkeypatch, server.url + "good/")
    with pytest.raises(DatasetNotFoundError, match="download=False"):
        MNIST(download=False)
    assert server.asked == []


def test_a_damaged_file_in_the_cache_is_fetched_again(cache, published, server, monkeypatch):
    mirrors(monkeypatch, server.url + "good/")
    MNIST()
    damaged = cache / "train-images-idx3-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(DatasetNotFoundError, match="no whole copy"):
        MNIST(download=False)
    assert_is(MNIST(), published["train"])
    assert server.asked[2:] == ["/good/train-images-idx3-ubyte.gz"]


def test_packed_files_in_the_cache_are_used(cache, published, server):
    cache.mkdir(parents=True)
    for name, content in server.files.items():
        (cache / name).write_bytes(content)
    assert_is(MNIST(), published["train"])


def test_a_cache_that_cannot_be_written_is_an_error_of_its_own_kind(
    cache, published, server, monkeypatch
):
    cache.parent.parent.write_text("a file where the folder should be")
    mirrors(monkeypatch, server.url + "good/")
    with pytest.raises(DatasetNotFoundError, match=r"Not a directory|File exists"):
        MNIST()


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("place", ["root", "NEEDLE_DATA"])
def test_files_in_a_folder_of_the_user(
    cache, write_pair, small_mnist, tmp_path, monkeypatch, ending, place
):
    folder = tmp_path / "mine"
    write_pair(*small_mnist, ending, folder=folder)
    if place == "root":
        assert_is(MNIST(root=str(folder)), small_mnist)
    else:
        monkeypatch.setenv("NEEDLE_DATA", str(folder))
        assert_is(MNIST(), small_mnist)


def test_root_comes_before_the_environment_before_the_cache(
    cache, published, server, write_pair, small_mnist, tmp_path, monkeypatch
):
    images, labels = small_mnist
    mirrors(monkeypatch, server.url + "good/")
    write_pair(images[:4], labels[:4], folder=tmp_path / "environment")
    write_pair(images[:8], labels[:8], folder=tmp_path / "root")
    (tmp_path / "empty").mkdir()
    assert len(MNIST()) == 6
    monkeypatch.setenv("NEEDLE_DATA", str(tmp_path / "environment"))
    assert len(MNIST()) == 4
    assert len(MNIST(root=tmp_path / "root")) == 8
    assert len(MNIST(root=tmp_path / "empty")) == 4
    assert len(MNIST(root=tmp_path / "root", train=False)) == 3  # from the cache's mirror


@pytest.mark.parametrize("place", ["root", "NEEDLE_DATA"])
def test_half_a_pair_in_a_folder_is_refused(
    cache, published, server, write_pair, small_mnist, tmp_path, monkeypatch, place
):
    mirrors(monkeypatch, server.url + "good/")
    _, labels = write_pair(*small_mnist, folder=tmp_path / "mine")
    labels.unlink()
    monkeypatch.setenv("NEEDLE_DATA", str(tmp_path / "mine"))
    root = tmp_path / "mine" if place == "root" else None
    with pytest.raises(DatasetNotFoundError) as caught:
        MNIST(root=root)
    text = str(caught.value)
    assert text.startswith(f"{place if root else '$NEEDLE_DATA'} {tmp_path / 'mine'} has")
    assert "not train-labels-idx1-ubyte" in text
    assert server.asked == []


def test_a_damaged_file_of_the_user_is_named(cache, write_pair, small_mnist, tmp_path):
    images, _ = write_pair(*small_mnist, folder=tmp_path / "mine")
    images.write_bytes(images.read_bytes()[:-9])
    with pytest.raises(ValueError, match=str(images)):
        MNIST(root=tmp_path / "mine")


# --- Fashion-MNIST, whose files have the same names


@pytest.fixture
def fashion(cache, server, published, monkeypatch):
    """The two parts on the server, as Fashion-MNIST, whose checksums are of the packed files."""
    for part, table in (("train", "_FASHION_TRAIN"), ("t10k", "_FASHION_TEST")):
        names = [f"{part}-{name}" for name in NAMES]
        packed = {name: server.files[f"{name}.gz"] for name in names}
        checksums = {name: hashlib.sha256(packed[name]).hexdigest() for name in names}
        monkeypatch.setattr(download, table, checksums)
        monkeypatch.setattr(download, table.removeprefix("_FASHION"), dict.fromkeys(names, "other"))
    monkeypatch.setattr(download, "FASHION_MIRRORS", [server.url + "good/"])
    return published


def test_fashion_mnist_is_downloaded_and_verified(cache, fashion, server):
    assert_is(FashionMNIST(), fashion["train"])
    assert_is(FashionMNIST(train=False), fashion["t10k"])
    assert repr(FashionMNIST()).startswith("FashionMNIST(6 items")
    assert len(server.asked) == 4
    folder = cache.with_name("fashion-mnist")
    assert names_in(folder) == sorted(f"{part}-{name}.gz" for part in fashion for name in NAMES)
    damaged = folder / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(
        DatasetNotFoundError, match=r"(?s)Fashion-MNIST's train-images.*no whole copy"
    ):
        FashionMNIST(download=False)
    assert_is(FashionMNIST(), fashion["train"])


def test_a_wrong_download_of_fashion_mnist_is_refused(cache, fashion, server, monkeypatch):
    monkeypatch.setattr(download, "FASHION_MIRRORS", [server.url + "wrong/"])
    with pytest.raises(DatasetNotFoundError, match="content has SHA-256"):
        FashionMNIST()
    assert names_in(cache.with_name("fashion-mnist")) == []


@pytest.mark.parametrize("below", ["", "fashion-mnist", "FashionMNIST/raw"])
def test_fashion_mnist_in_a_folder_of_the_user(
    cache, fashion, write_pair, small_mnist, tmp_path, below
):
    (tmp_path / "mine" / below).mkdir(parents=True)
    write_pair(*small_mnist, folder=tmp_path / "mine" / below)
    assert_is(FashionMNIST(tmp_path / "mine"), small_mnist)


def test_files_of_mnist_are_not_taken_for_fashion_mnist(
    cache, fashion, write_pair, small_mnist, to_idx, tmp_path, monkeypatch
):
    images, labels = small_mnist
    write_pair(images, labels, folder=tmp_path / "mine")
    checksum = hashlib.sha256(to_idx(labels)).hexdigest()
    monkeypatch.setattr(download, "_TRAIN", {"train-labels-idx1-ubyte": checksum})
    with pytest.raises(DatasetNotFoundError, match="has the labels of MNIST, not of Fashion"):
        FashionMNIST(tmp_path / "mine")
    monkeypatch.setenv("NEEDLE_DATA", str(tmp_path / "mine"))
    assert_is(FashionMNIST(), fashion["train"])  # downloaded
    write_pair(images[:3], labels[:3], folder=tmp_path / "mine" / "fashion-mnist")
    assert len(FashionMNIST()) == 3


def test_importing_needle_does_not_import_the_downloader():
    code = "import sys, needle.data; print({'pooch', 'requests', 'tqdm'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr
