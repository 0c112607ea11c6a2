"""Prompts: the one place where a task's fields become messages, for fine-tuning and serving alike.

A prompt is models/templates/TASK.VERSION.jinja. Each of its messages is a Jinja block called system, user or
assistant; few-shot turns add a number (user_1, assistant_1 …). The order is that of the file. Macros and
`set` stand outside of the blocks and are seen in all of them. Every message is rendered by itself from
cleaned fields, so that no text of a user can open a message of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, TypedDict

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.cleaning import clean, oneline
from models.errors import PromptError

__all__ = ["TEMPLATES", "Message", "PromptError", "chat_template", "clean", "prompt_versions", "render"]
__all__ += ["template_sha256"]

TEMPLATES: Final = Path(__file__).parent / "templates"

_BLOCK: Final = re.compile(r"(system|user|assistant)(?:_[1-9][0-9]*)?")
_SHARED: Final = nodes.Macro | nodes.Assign | nodes.AssignBlock
_FAULTS: Final = (
    TemplateError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    LookupError,
)  # of filters, too
_FILE: Final = re.compile(r"([a-z][a-z0-9_-]*)\.(v[1-9][0-9]*)\.jinja")


class Message(TypedDict):
    """One turn of the prompt; `role` is system, user or assistant."""

    role: str
    content: str


def render(task: str, version: str, fields: Mapping[str, Any], *, folder: Path = TEMPLATES) -> list[Message]:
    """Return the messages of one prompt; the last one is the user's.

    Strings in `fields`, at any depth, are cleaned first. Raises PromptError for a missing field, an
    unknown template or an empty message.
    """
    template = _load(task, version, folder)
    context = template.new_context({name: _clean_deep(value, place=name) for name, value in fields.items()})
    messages: list[Message] = []
    block = "(what stands before the blocks)"
    try:
        "".join(template.root_render_func(context))
        for block, message in template.blocks.items():
            messages.append({"role": block.partition("_")[0], "content": "".join(message(context)).strip()})
    except _FAULTS as error:
        raise PromptError(f"{task}.{version}: block {block}: {error}") from error
    for block, rendered in zip(template.blocks, messages, strict=True):
        if not rendered["content"]:
            raise PromptError(f"{task}.{version}: block {block}: the message is empty")
    return messages


def chat_template(name: str, *, folder: Path = TEMPLATES) -> str:
    """Return the chat template models/templates/NAME.chat.jinja. Raises PromptError."""
    return _read(folder, f"{name}.chat.jinja").decode()


def template_sha256(task: str, version: str, *, folder: Path = TEMPLATES) -> str:
    """Return the sha256 of a prompt's file. Raises PromptError."""
    return hashlib.sha256(_read(folder, f"{task}.{version}.jinja")).hexdigest()


def prompt_versions(*, folder: Path = TEMPLATES) -> dict[str, list[str]]:
    """Return the versions of each task's prompt, the oldest first."""
    versions: dict[str, list[str]] = {}
    for match in filter(None, (_FILE.fullmatch(path.name) for path in sorted(folder.glob("*.jinja")))):
        versions.setdefault(match[1], []).append(match[2])
    return {task: sorted(found, key=lambda version: int(version[1:])) for task, found in versions.items()}


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["oneline"] = oneline
    del environment.filters["random"], environment.globals["lipsum"]  # a prompt is the same every time
    return environment


_ENVIRONMENT: Final = _environment()


@cache  # a released template does not change, and there are few of them
def _load(task: str, version: str, folder: Path) -> Template:
    name = f"{task}.{version}"
    if not _FILE.fullmatch(f"{name}.jinja"):
        raise PromptError(f"{name!r} is no name of a prompt, such as describe.v1")
    try:
        return _compile(_read(folder, f"{name}.jinja").decode())
    except (TemplateError, UnicodeDecodeError) as error:
        raise PromptError(f"{name}: {error}") from error


def _compile(source: str) -> Template:
    """Compile a file so that its body runs macros and `set`s only, and each block waits to be rendered."""
    tree = _ENVIRONMENT.parse(source)
    blocks = [node for node in tree.body if isinstance(node, nodes.Block)]
    _check(tree, names=[block.name for block in blocks])
    shared = [node for node in tree.body if isinstance(node, _SHARED)]
    tree.body = [*shared, nodes.If(nodes.Const(False), list(blocks), [], [], lineno=1)]
    tree.set_environment(_ENVIRONMENT)
    globals_ = _ENVIRONMENT.make_globals(None)
    template: Template = Template.from_code(_ENVIRONMENT, _ENVIRONMENT.compile(tree), globals_)
    assert list(template.blocks) == [block.name for block in blocks], "Jinja keeps the order of the file"
    return template


def _check(tree: nodes.Template, *, names: Sequence[str]) -> None:
    for node in tree.body:
        if not isinstance(node, nodes.Block | _SHARED) and not _is_blank(node):
            raise TemplateError(f"line {node.lineno}: text and logic have to stand inside a block")
    for block in tree.find_all(nodes.Block):
        if not _BLOCK.fullmatch(block.name):
            raise TemplateError(f"line {block.lineno}: block {block.name} is not system, user or assistant")
        if block.name not in names:
            raise TemplateError(f"line {block.lineno}: block {block.name} stands inside another one")
    if not names or not names[-1].startswith("user"):
        raise TemplateError(f"the last block has to be the user's, not {names[-1] if names else 'none'}")
    if any(name.startswith("system") for name in names[1:]):
        raise TemplateError("the system block has to be the first")


def _is_blank(node: nodes.Node) -> bool:
    """Tell whether a node is nothing but white space; comments leave no node at all."""
    if not isinstance(node, nodes.Output):
        return False
    return all(isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes)


def _read(folder: Path, name: str) -> bytes:
    if "/" in name or "\\" in name:
        raise PromptError(f"{name!r} is no name of a template")
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        known = ", ".join(sorted(path.name for path in folder.glob("*.jinja"))) or "none"
        raise PromptError(f"{name}: there is no such template; known are {known}") from None
    except OSError as error:
        raise PromptError(f"{folder / name}: {error.strerror}") from error


def _clean_deep(value: Any, *, place: str) -> Any:
    """Clean every string of a field; what could hide a string from cleaning is refused."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int | float | Decimal | date):
        return value
    if isinstance(value, Mapping):
        return {
            _clean_deep(key, place=place): _clean_deep(item, place=f"{place}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_clean_deep(item, place=f"{place}[]") for item in value]
    raise PromptError(f"field {place}: {type(value).__name__} is neither text, number, list nor mapping")
