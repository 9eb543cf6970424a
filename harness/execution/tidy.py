"""Removing what nobody needs once an attempt has ended well: checkpoints, and halves of files that a kill left."""

import logging
import shutil
from pathlib import Path

from harness.attempt.messages import CHECKPOINT_FILE, CHECKPOINT_FOLDER, LOCK_FILE, MARK_FILE
from harness.base.locks import is_held
from harness.store.connection import Store
from harness.store.queries import gone_on_from

_log = logging.getLogger(__name__)


def tidy(store: Store, uid: str, artifacts: Path) -> None:
    """Remove them from the folder of an attempt, and from those of the attempts from which it went on.

    The folder of one that still runs stays as it is. A file that cannot be removed stays, and harms nothing.
    """
    earlier = [artifacts / other for other in gone_on_from(store, uid)]
    for folder in [artifacts / uid, *(folder for folder in earlier if not is_held(folder / LOCK_FILE))]:
        for file in [folder / CHECKPOINT_FILE, folder / MARK_FILE, *folder.glob(".*.tmp")]:
            try:
                file.unlink(missing_ok=True)
            except OSError:
                _log.debug("%s cannot be removed", file, exc_info=True)
        shutil.rmtree(folder / CHECKPOINT_FOLDER, ignore_errors=True)
