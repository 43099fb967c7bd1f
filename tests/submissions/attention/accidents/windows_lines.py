from right import *

note = "ünïcödé — ∂A/∂S"
