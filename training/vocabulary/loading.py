"""Find a tokenizer by a word, a path or a hub's name, and read it whatever its kind."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from training.errors import TokenizerError
from training.vocabulary.base import Vocabulary
from training.vocabulary.huggingface import read_tokenizer_json
from training.vocabulary.sentencepiece_model import read_sentencepiece
from training.vocabulary.tekken import read_tekken

# In the order in which a folder is searched; several in one folder are taken to be one vocabulary.
FILES: Final = ("tokenizer.json", "tekken.json", "tokenizer.model", "tokenizer.model.v*", "tekken_*.json")
_CONFIGS: Final = ("special_tokens_map.json", "tokenizer_config.json")  # the later one wins
_SHIPPED: Final = {"mistral-v0.1": "tokenizer.model.v1", "tekken": "tekken_240911.json"}
_HUB: Final = re.compile(r"(?:hf://)?(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_SENTENCEPIECE: Final = re.compile(r".*\.model(\.v\w+)?")


def load_vocabulary(reference: str) -> Vocabulary:
    """Return the vocabulary that `reference` names. Raises TokenizerError.

    mistral-v0.1, tekken      what the package mistral-common ships
    a folder                  with one of `FILES`
    a file                    one of those, under any name that ends alike
    hf://org/name[@revision]  from the Hugging Face Hub or its cache; `org/name` too, if no such path exists
    """
    if reference in _SHIPPED:
        return _read(_shipped(reference), name=reference)
    path = Path(reference).expanduser()
    if path.is_dir():
        return _read(_find(path), name=path.resolve().name)
    if path.is_file():
        return _read(path, name=path.resolve().parent.name if path.name in FILES else path.name)
    if hub := _HUB.fullmatch(reference):
        return _read(_find(_download(hub["repo"], revision=hub["revision"])), name=hub["repo"])
    raise TokenizerError(
        f"{reference}: no such folder or file; a tokenizer is {', '.join(_SHIPPED)}, a path, or hf://org/name"
    )


def _read(file: Path, *, name: str) -> Vocabulary:
    roles = _roles(file.parent)
    if _SENTENCEPIECE.fullmatch(file.name):
        return read_sentencepiece(file, name=name, roles=roles, folder=file.parent)
    if file.suffix == ".json" and "tekken" in file.name:
        return read_tekken(file, name=name, folder=file.parent)
    if file.suffix == ".json":
        return read_tokenizer_json(file, name=name, roles=roles, folder=file.parent)
    raise TokenizerError(f"{file}: no name of a tokenizer's file: {', '.join(FILES)}")


def _find(folder: Path) -> Path:
    for pattern in FILES:
        if found := sorted(folder.glob(pattern)):
            return found[-1]
    raise TokenizerError(f"{folder}: there is no tokenizer: looked for {', '.join(FILES)}")


def _shipped(word: str) -> Path:
    spec = find_spec("mistral_common")  # does not import it: that takes most of a second
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(place) / "data" / _SHIPPED[word]).is_file():
            return file
    raise TokenizerError(f"{word}: {_SHIPPED[word]} is shipped by mistral-common: pip install mistral-common")


def _roles(folder: Path) -> dict[str, str]:
    """Return the texts of bos, eos, pad and unk from the configuration beside the tokenizer."""
    found: dict[str, str] = {}
    for path in (folder / name for name in _CONFIGS):
        if not path.is_file():
            continue
        try:
            config = json.loads(path.read_bytes())
            tokens = {role: config.get(f"{role}_token") for role in ("bos", "eos", "pad", "unk")}
        except (OSError, ValueError, AttributeError) as error:
            raise TokenizerError(f"{path}: no JSON object: {error}") from error
        for role, token in tokens.items():
            text = token.get("content") if isinstance(token, dict) else token
            found |= {role: text} if isinstance(text, str) else {}
    return found


def _download(repo: str, *, revision: str | None) -> Path:
    """Bring the tokenizer's small files into the hub's own cache."""
    import huggingface_hub  # here, since it takes half a second and most references do not need it

    wanted = [*FILES, *_CONFIGS]
    try:
        return Path(huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=wanted))
    except Exception as error:  # it lets through what four libraries raise, not all of it documented
        raise TokenizerError(
            f"{repo}: neither a path here nor to be had from the Hugging Face Hub: "
            f"{type(error).__name__}: {error}"
        ) from error
