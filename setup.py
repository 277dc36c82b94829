"""
Everything about the project is in pyproject.toml; this adds one choice that cannot be said there.

`AAA_COMPILE=1 pip install .` compiles the modules that every request passes through to C with mypyc.  They
are the same sources under the same tests, but for what `native.py` writes in other words before; plain Python
is the reference: without the variable nothing is compiled and no compiler is needed.
"""

import contextlib
import os
import sys
import sysconfig
from pathlib import Path

from setuptools import setup

COMPILED = {
    "rating": "buckets calendars funding grant money plan price runs tariff timetable units",
    "aaa/engine": "adjust answers begin changes commands decide end event expire identity limits lines memory model "
    "money numbers outage periods pool ports quantum settle sums terms update windows",
    "aaa/diameter": "cca ccr codec credit_control links names parties pattern peer plan rules service turns units "
    "waiting",
    "aaa/node": "cache clock desk directory epochs loading node tally tariffs",
    "aaa/ops": "histogram",
    "aaa/radius": "access accounting attributes auth checks clients datagrams dedup guesses identity packet request "
    "service tickets",
    "aaa/radius/profiles": "access accounting answers values",
    "aaa/store": "batch codec names postgres_rows sqlite_rows",
}
# Code for what fails stands apart from code for what succeeds, so that less of it has to be fetched.  What another
# version of the compiler, or a guided build, has to remark about generated code is no error.
GCC_OPTIONS = [
    "-Wno-error",
    "--param=builtin-expect-probability=100",
    "-fno-semantic-interposition",
    "-fvisibility=hidden",
    "-fno-plt",
]
OPTIONS = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]

is_compiled = os.environ.get("AAA_COMPILE") == "1"
extensions = []
if is_compiled and "bdist_wheel" in sys.argv:
    from mypyc.build import mypycify

    here = Path(__file__).resolve().parent
    sys.path.insert(0, str(here))
    from native import rewrite

    paths = [f"{folder}/{name}.py" for folder, names in COMPILED.items() for name in names.split()]
    sources = here / "build" / "native"
    rewrite(here, ("aaa", "rating"), paths, sources)
    with contextlib.chdir(sources):
        extensions = mypycify([*OPTIONS, *paths], opt_level="2", target_dir=str(here / "build"))
    if "gcc" in (sysconfig.get_config_var("CC") or ""):
        for extension in extensions:
            extension.extra_compile_args = [*extension.extra_compile_args, *GCC_OPTIONS]

setup(ext_modules=extensions, setup_requires=["mypy>=2.4"] if is_compiled else [])
