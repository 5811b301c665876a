"""The lens: any copy, shown to restic as a read-only repository on a private socket.

The socket lies in a folder that only its owner may enter; where there is no room for one, the
lens listens on loopback, and every request must carry a password made for this lens alone. restic
must be run with ``--no-lock``, and with ``--no-cache`` wherever something is to be proved. What to
show (as of another time, without some files) is said by handing in other files, how far the place
is trusted by a `Spool`, and what to count or cap by another `Meter`.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from orchestrator.engines.interface import Place, StoredFile
from orchestrator.engines.layout import FileKey
from orchestrator.engines.meter import Meter, Traffic
from orchestrator.engines.rest_server import RestServer
from orchestrator.engines.spool import Spool
from orchestrator.engines.view import View
from orchestrator.errors import OrchestratorError

_LONGEST_SOCKET_PATH = 103
_USER = "lens"


class Lens:
    """Serves one place to restic while its ``with`` block runs.

    Args:
        place: Where the bytes are.
        files: What to show; all the place lists unless given. Read once, on entry.
        meter: What counts the traffic.
        folder: Where to make the socket's folder; the system's temporary folder unless given.
        spool: Through which files are fetched and verified, with the same meter; None for a
            place that is read directly. Whoever made it closes it, after the lens.
    """

    def __init__(
        self,
        place: Place,
        *,
        files: Iterable[StoredFile] | None = None,
        meter: Meter | None = None,
        folder: Path | None = None,
        spool: Spool | None = None,
    ) -> None:
        self.meter = meter or Meter()
        self._place = place
        self._files = files
        self._parent = folder
        self._spool = spool
        self._folder: Path | None = None
        self._address: str | None = None
        self._login: tuple[str, str] | None = None
        self._view: View | None = None
        self._server: RestServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def repository(self) -> str:
        """The repository address for restic; only inside the ``with`` block."""
        if self._address is None:
            raise RuntimeError("the lens is not open")
        return self._address

    @property
    def environment(self) -> Mapping[str, str]:
        """What restic's environment must hold besides; empty for a socket.

        Source: restic documentation, "Environment Variables".
        """
        if self._login is None:
            return {}
        user, password = self._login
        return {"RESTIC_REST_USERNAME": user, "RESTIC_REST_PASSWORD": password}

    @property
    def traffic(self) -> Traffic:
        """What went through so far."""
        return self.meter.traffic()

    @property
    def failure(self) -> OrchestratorError | None:
        """The first failure of the place, or a cap that was reached; None if all went well.

        Whoever runs restic asks this when restic fails: it is the reason.
        """
        return self._view.failure if self._view is not None else None

    @property
    def bad_files(self) -> list[FileKey]:
        """Kind and name of the files that were fetched and have wrong bytes, sorted.

        Waits for what is being fetched. Empty where nothing is verified on the way: without a
        spool restic's own reading says what is damaged.
        """
        return [] if self._spool is None else self._spool.bad_files

    def __enter__(self) -> Lens:
        """List what to show and begin to serve it.

        Raises:
            UnreachableError: The place cannot be reached.
            CredentialError: The place refuses access.
            EngineError: The place fails in another way.
        """
        files = self._place.list() if self._files is None else self._files
        self._view = View(self._place, files, self.meter, spool=self._spool)
        self._server = self._on_socket(self._view) or self._on_loopback(self._view)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="lens"
        )
        self._thread.start()
        return self

    def _on_socket(self, view: View) -> RestServer | None:
        """Make a socket in a folder of our own; None where there is no room for one."""
        if not hasattr(socket, "AF_UNIX"):
            return None
        self._folder = Path(tempfile.mkdtemp(prefix="lens-", dir=self._parent))
        path = str(self._folder / "socket")
        # restic takes the first colon for the end of the path
        if len(path.encode()) <= _LONGEST_SOCKET_PATH and ":" not in path:
            try:
                server = RestServer(path, view)
            except OSError:
                pass  # some file systems hold no sockets
            else:
                self._address = f"rest:http+unix://{quote(path)}:/"
                return server
        self._remove_folder()
        return None

    def _on_loopback(self, view: View) -> RestServer:
        self._login = (_USER, secrets.token_urlsafe(32))
        server = RestServer(("127.0.0.1", 0), view, login=self._login)
        self._address = f"rest:http://127.0.0.1:{server.port}/"
        return server

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            if self._spool is not None:
                self._spool.stop()
            self._server.hang_up()
        self._remove_folder()
        self._address = None
