"""The tutorial is followed in a clean directory, with the sources and with what a wheel of them installs."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.machine import program
from tests.docs.pages import ROOT

BLOCKS = re.compile(r"```sh\n(.*?)```", re.DOTALL)
SETUPTOOLS = 77  # what pyproject.toml asks for
COPIED = ("pyproject.toml", "setup.py", "native.py", "README.md", "LICENSE", "rating", "aaa")  # as the Dockerfile does
PORTS = ("218", "228")  # two tests may run at once


def follow(programs: Path, here: Path, environ: Mapping[str, str], ports: str = PORTS[0]) -> str:
    """Run every block in a clean directory, on ports of their own; returns what was printed."""
    here.mkdir()
    blocks = BLOCKS.findall((ROOT / "docs/tutorial/cut-at-zero.md").read_text(encoding="utf-8"))
    done = subprocess.run(
        ["sh", "-eu", "-c", "\n".join(blocks).replace(PORTS[0], ports)],
        cwd=here,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    log = (here / "aaad.log").read_text() if (here / "aaad.log").exists() else ""
    assert 0 == done.returncode, done.stdout + done.stderr + log
    return done.stdout


def assert_cut_at_zero(told: str) -> None:
    """Applied twice, afforded, granted three times, refused, charged to the last pulse, proven."""
    assert "created 4, changed 0, unchanged 0\ncreated 0, changed 0, unchanged 4\n" in told
    assert "affordable now  150 seconds" in told
    assert re.search(r"refill\tAccess-Request\tAccess-Reject.*\t150\t150\t", told)
    assert re.search(r"^balance +0\.0000 EUR$", told, re.MULTILINE)
    assert "-0.3000 EUR\t0.0000 EUR\tcharge" in told
    assert "0 mismatches in" in told


def test_the_tutorial_ends_with_the_call_cut_at_zero(tmp_path: Path):
    """With the sources as they are here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program(programs, "aaactl", "aaa.cli")
    program(programs, "aaad", "aaa.app")

    assert_cut_at_zero(follow(programs, tmp_path / "here", {"PYTHONPATH": str(ROOT)}))


def test_what_a_wheel_installs_is_complete(tmp_path: Path):
    """
    The steps of the container image in a clean environment: a wheel, installed without an index, its own programs.

    Migrations, dictionaries and the page's files are in it, or the call of the tutorial and the page would not work.
    """
    source, wheels, clean = tmp_path / "src", tmp_path / "wheels", tmp_path / "clean"
    source.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    has_setuptools = int(importlib.metadata.version("setuptools").partition(".")[0]) >= SETUPTOOLS
    built_here = ["--no-build-isolation"] if has_setuptools else []
    _run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        *built_here,
        "--wheel-dir",
        str(wheels),
        str(source),
    )
    venv.create(clean, with_pip=True)
    site = next((clean / "lib").glob("python3*/site-packages"))
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(dependencies))
    (wheel,) = wheels.glob("*.whl")
    _run(
        str(clean / "bin/python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--force-reinstall",
        str(wheel),
    )
    found = _run(
        str(clean / "bin/python"), "-c", "import aaa, aaa.api.ui; print(aaa.__file__, len(aaa.api.ui.page().body))"
    )
    told = follow(clean / "bin", tmp_path / "here", {"PYTHONPATH": ""}, PORTS[1])

    assert str(clean) in found
    assert int(found.split()[1]) > 500
    assert_cut_at_zero(told)
    assert "aaad 0." in _run(str(clean / "bin/aaad"), "--version")


def _run(*command: str) -> str:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=environ, cwd="/")
    if done.returncode:
        pytest.fail(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout
