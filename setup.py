"""
Everything about the project is in pyproject.toml; this adds one choice that cannot be said there.

`AAA_COMPILE=1 pip install .` compiles the modules that every request passes through to C with mypyc.  They
are the same sources under the same tests, and plain Python is the reference: without the variable nothing
is compiled and no compiler is needed.
"""

import os
import sys

from setuptools import setup

COMPILED = {
    "rating": "buckets calendars funding grant money plan price runs tariff timetable units",
    "aaa/engine": "adjust answers begin changes commands decide end event expire identity limits lines model money "
    "numbers outage periods pool quantum settle sums terms update windows",
    "aaa/diameter": "cca ccr codec credit_control links parties pattern plan rules service turns units waiting",
    "aaa/node": "cache desk node tally",
    "aaa/ops": "histogram",
    "aaa/radius": "access accounting attributes auth checks dedup identity packet request service tickets",
    "aaa/radius/profiles": "access accounting answers values",
    "aaa/store": "batch codec names postgres_rows sqlite_rows",
}
OPTIONS = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]

is_compiled = os.environ.get("AAA_COMPILE") == "1"
extensions = []
if is_compiled and "bdist_wheel" in sys.argv:
    from mypyc.build import mypycify

    paths = [f"{folder}/{name}.py" for folder, names in COMPILED.items() for name in names.split()]
    extensions = mypycify([*OPTIONS, *paths], opt_level="2")

setup(ext_modules=extensions, setup_requires=["mypy>=1.10"] if is_compiled else [])
