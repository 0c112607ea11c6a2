"""Download from the Hugging Face Hub: the listed weights, and beside them the small files they need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from tqdm import tqdm

from models.errors import StoreError
from models.folders import DISK_FULL, FORBIDDEN
from models.locations import Hub

# Weights come only by name: repositories often hold them twice (Mistral's consolidated.safetensors is
# another 14 GB), and what carries no hash is not worth having. Pickles never.
_COMPANIONS: Final = ("*.json", "*.jinja", "*.model", "tokenizer*", "vocab.txt", "merges.txt")
_WEIGHTS: Final = (".safetensors", ".gguf")
_DISABLE: Final = {None: None, True: False, False: True}  # tqdm's None: only where stderr is no terminal
_LEFTOVERS: Final = ".cache"  # where huggingface_hub notes which files it has finished


def download(source: Hub, *, folder: Path, names: Collection[str], bar: bool | None) -> None:
    """Bring the files into `folder`, but for those that an earlier run finished there. Raises StoreError.

    The companions that `names` does not list are held by the revision alone.
    """
    uri = f"hf://{source.repo}@{source.revision}"
    if not any(name.endswith(_WEIGHTS) for name in names):
        raise StoreError(f"{uri}: no {' or '.join(_WEIGHTS)} file is among those with a sha256")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise StoreError(f"{uri}: not in the cache, and HF_HUB_OFFLINE forbids the download: unset it once")
    for unfinished in (folder / _LEFTOVERS).rglob("*.incomplete"):
        unfinished.unlink()  # of a run that was killed: the client begins such a file anew under another name
    import huggingface_hub  # here, since it takes half a second and most cards do not need it

    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        # Asked for first, since snapshot_download takes an unreachable hub for a finished folder.
        hub = huggingface_hub.HfApi(endpoint=endpoint)
        commit = hub.model_info(source.repo, revision=source.revision).sha
        huggingface_hub.snapshot_download(
            source.repo,
            revision=commit,
            local_dir=folder,
            allow_patterns=[*names, *_COMPANIONS],
            tqdm_class=cast(Any, partial(tqdm, disable=_DISABLE[bar])),
            endpoint=endpoint,
        )
    except Exception as error:  # it lets through what four libraries raise, not all of it documented
        if isinstance(error, OSError) and error.errno in DISK_FULL | FORBIDDEN:
            raise
        raise StoreError(f"{uri}: {type(error).__name__}: {error}") from error


def forget_download(folder: Path) -> None:
    """Remove what `download` noted for a second try, once its files are verified."""
    shutil.rmtree(folder / _LEFTOVERS, ignore_errors=True)
