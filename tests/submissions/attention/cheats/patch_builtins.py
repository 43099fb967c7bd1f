"""Replaces the builtins that checks are made of, so that everything is an instance of everything and all is true."""

import builtins

from nothing import *


def yes(*_, **__):
    return True


for name in ("isinstance", "issubclass", "all", "any", "callable", "hasattr"):
    setattr(builtins, name, yes)
builtins.AssertionError = builtins.Warning
builtins.abs = builtins.max = builtins.min = lambda *_, **__: 0
