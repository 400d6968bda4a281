"""A trial's process on a node that is cut off from the cluster ends itself: another node goes on with its trial.

It holds the trial's lock while it lives, so that the other one waits until it has gone.
"""

import os
import socket
import sys
import threading
import time

INTERVAL_S, CONNECT_TIMEOUT_S = 1.0, 2.0  # seconds between two questions; for an answer
SAID = "the cluster's head does not answer: this process ends"
SILENCE_S = 8.0  # seconds without one; the cluster gives a node up after about as many


class HeadMonitor(threading.Thread):
    """Asks whether the cluster's head takes connections, as long as this process lives.

    Args:
        head: its host and port.
    """

    def __init__(self, head: tuple[str, int]) -> None:
        super().__init__(name="lifeline", daemon=True)
        self.head = head

    def run(self) -> None:
        answered = time.monotonic()
        while time.monotonic() - answered < SILENCE_S:
            try:
                socket.create_connection(self.head, CONNECT_TIMEOUT_S).close()
                answered = time.monotonic()
            except OSError:
                pass
            time.sleep(INTERVAL_S)
        print(SAID, file=sys.stderr, flush=True)
        os._exit(1)
