from __future__ import annotations

from right import *

from dataclasses import dataclass


@dataclass
class Settings:
    scale: float = 1.0


settings = Settings()
