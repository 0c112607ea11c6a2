"""README.md of the export: what a person has to know who finds the folder without the repository."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from models.card import Card
from training.config import Run
from training.swap.settings import TERMS

_HEAD: Final = """\
---
language: ru
library_name: transformers
pipeline_tag: text-generation
license: other
license_name: {licence}
---

# {name}
"""
_USE: Final = """\
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
```

In the service: `{serve}`. If the folder is moved, change `weights` in `{name}.toml` and `card` in
`deployment.toml` with it.
"""
_LIMITS: Final = """\
## Limits

- {context:,} tokens of prompt and answer together.
- It states things that are not so: an answer has to be held against the listing that it is about, as the
  service does.
- Bits a character do not say how well a task is done: evaluate it before it goes live.
"""


def write_readme(
    card: Card, *, run: Run, stages: Mapping[str, Mapping[str, Any]], serve: str, folder: Path
) -> None:
    """Write README.md into `folder`, which holds the terms already; `stages`: the figures of each."""
    sources = [f"{one.name} ({one.licence})" for one in run.corpus.sources]
    sources += [f"{one.name} ({one.licence})" for one in run.dialogues]
    about = {
        "Base": card.base,
        "Licence": f"[{card.licence}]({card.licence_url})" if card.licence_url else card.licence,
        "Terms of the base": ", ".join(sorted(path.name for one in TERMS for path in folder.glob(one))),
        "Data": card.data,
        "Sources": ", ".join(sources),
        "Notes": card.notes,
        "Vocabulary": f"{card.vocab_size:,} rows",
        "Weights": "bfloat16, rounded once from what was trained",
        "Code": f"commit {card.git_sha}",
    }
    parts = [
        _HEAD.format(licence=json.dumps(card.licence, ensure_ascii=False), name=card.name),
        "\n".join(f"- {key}: {value}" for key, value in about.items() if value) + "\n",
        "## How it was made\n",
        f"`python -m training run FILE` with the run file of the name `{run.name}`, seed {run.seed}.\n",
        _table(stages),
        _USE.format(serve=serve, name=card.name),
        _LIMITS.format(context=card.context_length),
    ]
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _table(stages: Mapping[str, Mapping[str, Any]]) -> str:
    rows = ["| stage | figures |", "|---|---|"]
    for stage, figures in stages.items():
        told = "<br>".join(f"{name}: {_short(value)}" for name, value in figures.items())
        rows.append(f"| {stage} | {told.replace('|', '&#124;')} |")
    return "\n".join(rows) + "\n"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
