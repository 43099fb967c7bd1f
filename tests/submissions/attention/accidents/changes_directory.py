import os
import tempfile

from right import *

os.chdir(tempfile.mkdtemp())
os.chdir("/usr")
