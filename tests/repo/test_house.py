"""The house rules that a machine can hold: who imports whom, how long, how deep, documented."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("models", "service", "training")
HEAVY = {"torch", "vllm", "transformers", "fastapi", "starlette", "uvicorn", "aiohttp"}
# What runs as a process of its own: unpacking weights beside the engine, looking at photos.
APART = {"service/engine/unpack.py", "service/looking.py"}
MAX_LINES, MAX_FUNCTION_LINES, MAX_DEPTH = 350, 70, 2
NAMES_THAT_SAY_NOTHING = ("utils", "helpers", "misc", "common", "_v2", "_old", "_new", "_final")

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Blocker())
import {modules}
"""


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files that belong to the repository, committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return tuple(ROOT / name for name in names if (ROOT / name).is_file())


def modules(*rooms: str) -> list[Path]:
    """Return the Python files of some rooms."""
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in (rooms or ROOMS)
    ]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name_of(path)}: imports are absolute here"
            found.add(node.module or "")
    return found


def imported(path: Path, banned: set[str]) -> set[str]:
    """Return what a file imports of the banned packages and modules."""
    return {
        name for name in imports(path) if any(name == one or name.startswith(f"{one}.") for one in banned)
    }


@pytest.mark.parametrize(
    ("room", "banned"),
    [
        ("models", {"service", "training", "tests", *HEAVY}),
        ("service", {"training", "tests"}),
        ("training", {"service", "tests"}),
    ],
)
def test_imports_go_one_way(room: str, banned: set[str]) -> None:
    assert {name_of(path): found for path in modules(room) if (found := imported(path, banned))} == {}


def test_tasks_know_neither_http_nor_an_engine() -> None:
    tasks = [path for path in modules("service") if path.parent.name == "tasks"]
    assert tasks
    banned = {*HEAVY, "service.engine", "service.runner", "service.api", "service.app"}
    assert {name_of(path): found for path in tasks if (found := imported(path, banned))} == {}


def test_only_processes_of_their_own_know_torch() -> None:
    users = {
        name_of(path) for path in modules("service") if imported(path, {"torch", "vllm", "transformers"})
    }
    assert users == APART


@pytest.mark.parametrize(
    ("imported_modules", "blocked"),
    [
        ("models.card, models.prompts, models.store", HEAVY),
        (
            "service.app, service.__main__, service.engine.local, service.eyes",
            {"torch", "vllm", "transformers", "training"},
        ),
        (
            "service.tasks, service.runner",
            {"fastapi", "starlette", "uvicorn", "torch", "vllm", "transformers"},
        ),
        ("service.engine.leash", {"pydantic", "structlog", "asyncio", *HEAVY}),
    ],
    ids=["models", "service.app", "service.runner", "leash"],
)
def test_a_room_opens_without_what_it_must_not_need(imported_modules: str, blocked: set[str]) -> None:
    code = BLOCKED.format(blocked=blocked, modules=imported_modules)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_service_reads_no_settings_and_sets_up_no_logging() -> None:
    code = (
        "import logging, os; os.environ['LLM_PORT'] = 'http'\n"
        "import service.app, service.__main__\nassert logging.getLogger().handlers == []"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_and_functions_stay_short() -> None:
    too_long = {}
    for path in modules():
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MAX_LINES:
            too_long[name_of(path)] = lines
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    too_long[f"{name_of(path)}:{node.name}"] = length
    assert too_long == {}


def test_folders_stay_shallow_and_names_say_something() -> None:
    names = [name_of(path) for path in modules()]
    assert [name for name in names if name.count("/") > MAX_DEPTH] == []
    assert [name for name in names if any(bad in Path(name).stem for bad in NAMES_THAT_SAY_NOTHING)] == []


def test_every_module_and_public_function_says_what_it_is_for() -> None:
    silent = []
    for path in modules():
        tree = tree_of(path)
        if not ast.get_docstring(tree) and path.name != "__init__.py":
            silent.append(name_of(path))
        silent += [f"{name_of(path)}:{node.name}" for node in public(tree) if not ast.get_docstring(node)]
    assert silent == []


def public(
    tree: ast.Module | ast.ClassDef,
) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Return the public functions, classes and methods."""
    found: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
            found.append(node)
            if isinstance(node, ast.ClassDef):
                found += public(node)
    return found


def test_tests_are_no_packages() -> None:
    assert [name_of(path) for path in tracked() if path.match("tests/**/__init__.py")] == []
