"""A mirror on the loopback that stands in only where a source must fail, lie or be counted."""

import gzip
import hashlib
import http.server
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from ffsnn.datasets import fetch
from ffsnn.datasets.builtin import TEST_FILES, TRAIN_FILES


def idx(values: torch.Tensor) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes((0, 0, 8, values.ndim)) + sizes + values.to(torch.uint8).numpy().tobytes()


def raw_files(n_train: int = 200, n_test: int = 40) -> dict[str, bytes]:
    """A tiny set of 28x28 noise with the four usual names."""
    generator = torch.Generator().manual_seed(0)
    files = {}
    for (images, labels), n in ((TRAIN_FILES, n_train), (TEST_FILES, n_test)):
        files[images] = idx(torch.randint(256, (n, 28, 28), generator=generator))
        files[labels] = idx(torch.randint(10, (n,), generator=generator))
    return files


class Mirror(http.server.ThreadingHTTPServer):
    """Serves `files` under 127.0.0.1 and notes what was asked for."""

    files: dict[str, bytes]
    asked: list[str]
    delay_s = 0.0
    missing_bytes = 0  # promised in the header, never sent

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.server.asked.append(name)
        time.sleep(self.server.delay_s)
        body = self.server.files.get(name)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + self.server.missing_bytes))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror of fashion_mnist with a tiny set, and torchvision pointed at it; Debian has none."""
    from torchvision.datasets import FashionMNIST

    monkeypatch.setattr(fetch, "DEBIAN_PACKAGE", "no-such-package")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Mirror(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.files = {f"{name}.gz": gzip.compress(raw) for name, raw in raw_files().items()}
        md5s = [(name, hashlib.md5(packed).hexdigest()) for name, packed in server.files.items()]
        monkeypatch.setattr(FashionMNIST, "mirrors", [server.url])
        monkeypatch.setattr(FashionMNIST, "resources", md5s)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
