from __future__ import annotations

from tests.fake_live.conftest import tone

__all__ = ["tone"]
