# SPDX-License-Identifier: BSD-2-Clause
"""The fixtures of tests/qemu."""
import importlib.util
import os
import sys

QEMU = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "qemu")
sys.path.insert(0, QEMU)
_spec = importlib.util.spec_from_file_location("qemu_conftest", os.path.join(QEMU, "conftest.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: value for name, value in vars(_module).items()
                  if not name.startswith("__")})
