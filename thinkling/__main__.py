"""``python -m thinkling`` is ``thinkling``."""

from __future__ import annotations

from thinkling.cli.main import main

if __name__ == "__main__":
    main()
