"""Sample submissions by assignment: WRONG and RIGHT of the module of that name."""

import pkgutil
from importlib import import_module

_modules = {found.name: import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)}
WRONG = {(name, what): one for name, module in _modules.items() for what, one in module.WRONG.items()}
RIGHT = {(name, what): one for name, module in _modules.items() for what, one in module.RIGHT.items()}
