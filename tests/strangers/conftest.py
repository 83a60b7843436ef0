# SPDX-License-Identifier: BSD-2-Clause
"""The fixtures of all whole-machine tests: tests/qemu/fixtures.py."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "qemu"))
from fixtures import (keeper, machine, pytest_generate_tests,  # noqa: E402,F401
                      pytest_runtest_makereport)
