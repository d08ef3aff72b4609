"""The reference says what the docstrings say, and everything public has one."""

import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import comity as co

SCRIPT = Path(__file__).parents[2] / "scripts" / "reference.py"


def test_the_reference_is_up_to_date():
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_everything_public_is_documented():
    for part in (co, co.strategies, co.metrics, co.privacy, co.compression, co.data, co.partition):
        for name in part.__all__:
            value = getattr(part, name)
            if isinstance(value, ModuleType) or inspect.isclass(value) or inspect.isfunction(value):
                assert inspect.getdoc(value), f"{part.__name__}.{name} has no docstring"
