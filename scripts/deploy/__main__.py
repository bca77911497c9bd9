"""Runs the application.

python -m scripts.deploy -i STUDIES -o OUT -m MODELS
"""

from __future__ import annotations

import os
import resource
import sys

_STACK_BYTES = 32 * 1024 * 1024


def _with_large_stack() -> None:
    """Start anew with the stack that Holoscan asks for (``ulimit -s 32768``), where this process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    enough = soft == resource.RLIM_INFINITY or soft >= _STACK_BYTES
    if enough or (hard != resource.RLIM_INFINITY and hard < _STACK_BYTES):
        return
    resource.setrlimit(resource.RLIMIT_STACK, (_STACK_BYTES, hard))
    os.execv(sys.executable, sys.orig_argv)


def main() -> None:
    """Run it; the exit status is 1 if a study has no report."""
    from scripts.deploy.app import AppError, LumbarApp

    app = LumbarApp()
    try:
        app.run()
    except AppError as error:
        sys.exit(f"error: {error}")
    sys.exit(1 if app.failed else 0)


if __name__ == "__main__":
    _with_large_stack()
    main()
