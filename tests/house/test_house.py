"""The house: what is installed is what is written down, imports go one way, and nothing names somebody's machine."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from jupyter_server.services.config.manager import ConfigManager
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
CONSTRAINTS = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
]
PINS = {canonicalize_name(Requirement(line).name): Requirement(line).specifier for line in CONSTRAINTS}

EXTRAS = tuple(PROJECT["optional-dependencies"])


def extras(name):
    return [Requirement(line) for line in PROJECT["optional-dependencies"][name]]


def test_every_constraint_is_one_exact_version_without_an_address():
    assert [line for line in CONSTRAINTS if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []


# The first and some later releases of each Python that README promises: "Python 3.11 or newer". Debian 12 has 3.11.2.
PROMISED = [f"3.{minor}.{micro}" for minor in (11, 12, 13, 14) for micro in (0, 2)]


@pytest.mark.parametrize("python", PROMISED)
def test_every_pin_installs_on_each_python_that_the_readme_promises(python):
    assert "Python 3.11 or newer" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert python in SpecifierSet(PROJECT["requires-python"])
    asked = {name: metadata.metadata(name).get("Requires-Python") for name in PINS}
    assert {name: asks for name, asks in asked.items() if asks and python not in SpecifierSet(asks)} == {}


def test_installing_says_first_how_long_it_takes_and_how_much_it_needs_and_shows_what_it_does():
    make = ["make", "--dry-run", "--always-make", ".venv/ready"]
    steps = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words, installing = steps.split("pip install", 1)
    assert re.search(r"echo .*\d+ MB.*minutes", words)
    assert "--quiet" not in installing


@pytest.mark.parametrize("extra", EXTRAS)
def test_everything_the_project_asks_for_is_pinned(extra):
    assert [str(r) for r in extras(extra) if canonicalize_name(r.name) not in PINS] == []


def needed(requirements):
    """The names of all that these requirements bring with them, here and now."""
    names, waiting = set(), [(requirement, "") for requirement in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        key = (name, *sorted(requirement.extras))
        if key in names:
            continue
        names.add(key)
        for line in metadata.distribution(name).requires or ():
            waiting += [(Requirement(line), one) for one in (requirement.extras or {""})]
    return {key[0] for key in names}


def test_what_is_installed_is_what_is_pinned():
    names = needed([r for extra in EXTRAS for r in extras(extra)])
    wrong = {n: metadata.version(n) for n in names if n not in PINS or metadata.version(n) not in PINS[n]}
    assert wrong == {}


def test_nothing_is_pinned_that_nothing_needs():
    assert sorted(set(PINS) - needed([r for extra in EXTRAS for r in extras(extra)])) == []


def test_the_token_alone_needs_nothing():
    assert PROJECT["dependencies"] == []


def test_conda_and_binder_install_the_project_by_pip_with_the_same_pins_and_a_python_it_allows():
    python = next(line for line in ENVIRONMENT["dependencies"] if str(line).startswith("python="))
    assert python.removeprefix("python=") + ".1" in SpecifierSet(PROJECT["requires-python"])
    (pip,) = (line["pip"] for line in ENVIRONMENT["dependencies"] if isinstance(line, dict))
    assert pip == ["--constraint constraints.txt", "--editable .[course]"]
    assert "conda-forge" in ENVIRONMENT["channels"]


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so there is no list of the project's files")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_path_of_somebodys_machine():
    path = re.compile(rb"/(?:home|root|work|Users)/[a-z.]+[/\"'\s]")
    allowed = {Path(__file__), ROOT / "tests/notebooks/test_guard.py"}  # they name such paths to look for them
    found = {str(file.relative_to(ROOT)) for file in tracked_files() if path.search(file.read_bytes())}
    assert found - {str(file.relative_to(ROOT)) for file in allowed} == set()


MAY_IMPORT = {"cancellation": {"cancellation"}, "pizzeria": {"cancellation", "pizzeria"}}


@pytest.mark.parametrize("package", ["cancellation", "pizzeria", "classroom"])
def test_imports_go_one_way(package):
    ours = {"cancellation", "pizzeria", "classroom"}
    wrong = []
    for file in (ROOT / "src" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            used = {module.split(".")[0] for module in modules} & ours
            wrong += [f"{file.name} imports {name}" for name in used - MAY_IMPORT.get(package, ours)]
    assert wrong == []


def loaded_by(statement):
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


def test_import_cancellation_loads_the_standard_library_only():
    assert loaded_by("import cancellation") - {"cancellation"} <= sys.stdlib_module_names


@pytest.mark.parametrize("heavy", ["fastapi", "uvicorn", "httpx", "dask", "distributed", "matplotlib", "ipywidgets"])
def test_import_pizzeria_does_not_load(heavy):
    assert heavy not in loaded_by("import pizzeria")


def test_the_makefile_runs_what_the_readme_promises():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)\b", readme, re.MULTILINE)) <= targets
    assert {"lab", "test"} <= targets


@pytest.mark.parametrize("hook", ["build_editable", "build_wheel"])  # what pip, uv and conda call, with -e and without
def test_jupyterlab_asks_nothing_about_news_wherever_the_course_is_installed(hook, tmp_path):
    project = tmp_path / "project"
    for file in tracked_files():  # not in place: building leaves things behind
        copy = project / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    build = f"from setuptools.build_meta import *; {hook}({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=project, capture_output=True, timeout=100, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(tmp_path)
    (data,) = tmp_path.glob("*.data/data")  # goes where Python is installed, and Jupyter looks there
    config = ConfigManager(read_config_path=[str(data / "etc/jupyter/labconfig")]).get("page_config")
    assert config["disabledExtensions"] == {"@jupyterlab/apputils-extension:announcements": True}


def test_every_road_to_jupyterlab_installs_the_course():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    roads = [line for line in readme.splitlines() if re.match(r"\| .*(jupyter lab|Binder)", line)]
    assert len(roads) == 4
    assert [road for road in roads if not re.search(r"-e '?\.\[course]|environment\.yml", road)] == []
    assert "--editable '.[course," in (ROOT / "Makefile").read_text(encoding="utf-8")
