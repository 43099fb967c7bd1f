"""A cell that never ends: it is left out, and all others are graded."""

from right import *

# %%
while True:
    pass
