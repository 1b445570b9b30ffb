"""The cable between daemon and broker: a TCP relay that can be slow, dead or cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

_PIECE = 4096


class Line:
    """Listens on `port` and relays to `to`, both of 127.0.0.1, until `close`.

    bytes_per_s: None for as fast as it goes; 0 for a line that takes everything and passes nothing on.
    """

    def __init__(self, to: int) -> None:
        self.bytes_per_s: float | None = None
        self._to = to
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Resets every connection; new ones are possible at once."""
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to), 5)
            except OSError:  # no broker: as if nobody listened here either
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._ends |= {near, far}
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                # Read anew all the time: a line may be mended while something waits in it.
                due, began = 0.0, time.monotonic()
                while self.bytes_per_s is not None:
                    due = len(piece) / self.bytes_per_s if self.bytes_per_s else float("inf")
                    if time.monotonic() - began >= due:
                        break
                    time.sleep(0.02)
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._ends -= {source, sink}
        source.close()
        sink.close()
