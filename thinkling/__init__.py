"""thinkling: build, ask and measure small models that think.

Importing this package is cheap: nothing below loads torch until a model is loaded.

    import thinkling
    model = thinkling.load("runs/nano/rl")      # or thinkling.load() for the packaged model
    print(model.ask("What is 17 + 25?").text)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinkling.api import LocalModel as LocalModel
    from thinkling.api import load as load

__version__ = "0.1.0"

# Name -> module that defines it. Strings, not imports: `import thinkling` must not pull in torch.
_PUBLIC = {
    "load": "thinkling.api",
    "LocalModel": "thinkling.api",
    "Message": "thinkling.core.types",
    "Sampling": "thinkling.core.types",
    "UserError": "thinkling.core.errors",
}
__all__ = ["LocalModel", "Message", "Sampling", "UserError", "load"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'thinkling' has no attribute {name!r}; it has {', '.join(_PUBLIC)}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
