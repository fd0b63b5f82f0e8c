"""The rules of the code that a machine can hold; each failure says the mend."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "foundation", "identity", "metering", "compute", "collectors", "billing",
    "alarms", "scaling", "orchestration", "api", "entrypoints", "provision", "benchmarks",
)  # fmt: skip
DOMAIN = (
    "foundation",
    "identity",
    "metering",
    "compute",
    "collectors",
    "billing",
    "alarms",
    "scaling",
    "orchestration",
)
FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 400
POSITIONAL_PARAMETERS_MAX = 2
FREE_PARAMETERS = {"self", "cls", "tx"}
BANNED_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "manager",
    "base",
    "handler",
    "data",
    "info",
    "process",
}
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".in",
    ".sh",
    ".ts",
    ".tsx",
    ".css",
    ".json",
    ".sql",
    ".yaml",
    ".ini",
    "",
}
MACHINE_TRACES = re.compile(r"/work/|pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org")

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def names_of(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.fixture(params=SOURCES, ids=names_of(SOURCES))
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_modules_open_with_a_sentence_and_stay_short(source: Path) -> None:
    text = source.read_text()
    assert ast.get_docstring(ast.parse(text)), f"{source}: open the module with one sentence that says what it owns"
    lines = len(text.splitlines())
    assert lines <= MODULE_LINES_MAX, f"{source}: {lines} lines; split it by noun (at most {MODULE_LINES_MAX})"


def test_functions_stay_short(source: Path) -> None:
    for function in functions_of(ast.parse(source.read_text())):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        assert length <= FUNCTION_LINES_MAX, (
            f"{source}: {function.name} has {length} lines; give a part of it a name of its own"
        )


def test_parameters_from_the_third_are_keyword_only(source: Path) -> None:
    for function in functions_of(ast.parse(source.read_text())):
        if any(
            name_of(decorator) in {"get", "post", "put", "patch", "delete", "command", "fixture"}
            for decorator in function.decorator_list
        ):
            continue  # the framework passes these by name
        counted = [argument for argument in function.args.args if argument.arg not in FREE_PARAMETERS]
        assert len(counted) <= POSITIONAL_PARAMETERS_MAX + 1 or function.name.startswith("__"), (
            f"{source}: {function.name}: make the parameters from the third on keyword-only"
        )


def name_of(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def test_public_functions_say_what_they_do(source: Path) -> None:
    tree = ast.parse(source.read_text())
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    for node in public:
        if not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{source}: {node.name}: say in one sentence what it does and why"


def test_no_drawer_names(source: Path) -> None:
    assert source.stem not in BANNED_NAMES, f"{source}: name the module after what it owns"
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assert node.name.lower() not in BANNED_NAMES, (
                f"{source}: {node.name}: a name that could hold anything says nothing"
            )


def test_the_domain_says_project_and_never_tenant() -> None:
    for package in DOMAIN:
        for path in (ROOT / package).rglob("*.py"):
            assert "tenant" not in path.read_text().lower(), (
                f"{path}: say project; tenant is a wire word and stays in api/"
            )


def test_no_float_on_the_way_of_money() -> None:
    for path in (ROOT / "billing").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_float_name = isinstance(node, ast.Name) and node.id == "float"
            is_float_value = isinstance(node, ast.Constant) and isinstance(node.value, float)
            is_float = is_float_name or is_float_value
            assert not is_float, f"{path}:{getattr(node, 'lineno', 0)}: money is Decimal end to end"


def test_sql_is_never_put_together_from_strings(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"execute", "executemany", "copy"}
        ):
            for argument in node.args[:1]:
                assert not isinstance(argument, ast.JoinedStr | ast.BinOp), (
                    f"{source}:{node.lineno}: pass parameters, never build SQL text"
                )


def test_alembic_has_no_package_marker() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists(), "alembic/__init__.py would shadow the library: remove it"


def test_nothing_committed_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        path = ROOT / name
        if path.suffix in TEXT_SUFFIXES and path.is_file() and path != Path(__file__):
            found = MACHINE_TRACES.search(path.read_text(errors="replace"))
            assert not found, f"{name}: take out {found.group() if found else ''}: it belongs to one machine"
