"""For all tests."""

from __future__ import annotations

import signal

# A shell that runs the tests in the background hands down an ignored Ctrl-C, and the processes that tests start
# and interrupt would ignore it too; a handler is not handed down.
signal.signal(signal.SIGINT, signal.default_int_handler)
