import socket
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache folder, no MDLIB_DATA, and no network beyond this machine."""
    monkeypatch.delenv("MDLIB_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path / "cache"))
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def refuse_or(function, place):
        def maybe(*given, **named):
            if "127.0.0.1" not in str(given[place]):
                raise OSError("no network in tests")
            return function(*given, **named)

        return maybe

    monkeypatch.setattr("socket.socket.connect", refuse_or(connect, 1))
    monkeypatch.setattr("socket.getaddrinfo", refuse_or(look_up, 0))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """A folder, the address it is served at, and the paths that were asked for."""
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}", asked
        http.shutdown()
        thread.join()
