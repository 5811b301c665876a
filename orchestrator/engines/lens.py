"""The lens: any copy, shown to restic as a read-only repository on a private socket.

The socket lies in a folder that only its owner may enter. restic must be run with ``--no-lock``,
and with ``--no-cache`` wherever something is to be proved. What to show (as of another time,
without some files) is said by handing in other files, and what to count or cap by another `Meter`.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from orchestrator.engines.interface import Place, StoredFile
from orchestrator.engines.meter import Meter, Traffic
from orchestrator.engines.rest_server import RestServer, View
from orchestrator.errors import EngineError, OrchestratorError

_LONGEST_SOCKET_PATH = 107


class Lens:
    """Serves one place to restic while its ``with`` block runs.

    Args:
        place: Where the bytes are.
        files: What to show; all the place lists unless given. Read once, on entry.
        meter: What counts the traffic.
        folder: Where to make the socket's folder; the system's temporary folder unless given.
    """

    def __init__(
        self,
        place: Place,
        *,
        files: Iterable[StoredFile] | None = None,
        meter: Meter | None = None,
        folder: Path | None = None,
    ) -> None:
        self.meter = meter or Meter()
        self._place = place
        self._files = files
        self._parent = folder
        self._folder: Path | None = None
        self._view: View | None = None
        self._server: RestServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def repository(self) -> str:
        """The repository address for restic; only inside the ``with`` block."""
        if self._folder is None:
            raise RuntimeError("the lens is not open")
        return f"rest:http+unix://{quote(str(self._folder / 'socket'))}:/"

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

    def __enter__(self) -> Lens:
        """List what to show and begin to serve it.

        Raises:
            UnreachableError: The place cannot be reached.
            CredentialError: The place refuses access.
            EngineError: The place fails in another way, or the socket cannot be made.
        """
        files = self._place.list() if self._files is None else self._files
        self._view = View(self._place, files, self.meter)
        self._folder = Path(tempfile.mkdtemp(prefix="lens-", dir=self._parent))
        try:
            path = str(self._folder / "socket")
            if len(path.encode()) > _LONGEST_SOCKET_PATH or ":" in path:
                raise EngineError(
                    "the temporary folder's name is too long, or has a colon, for a socket",
                    hint="set TMPDIR to a short path",
                )
            self._server = RestServer(path, self._view)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="lens"
        )
        self._thread.start()
        return self

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
            self._server.hang_up()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
