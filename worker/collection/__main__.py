"""``torchrun --nproc-per-node N -m worker.collection MODEL CORPUS ...``: ``collect`` in several processes."""

import os
import sys

if __name__ == "__main__":
    # The worker does not import the commands, so this process is replaced by one that does, with the id that torchrun
    # watches.
    os.execv(sys.executable, [sys.executable, "-m", "app.cli", "collect", *sys.argv[1:]])  # noqa: S606 - no shell
