"""A thread that answers all the time, with frames that are well-formed and say that everything went well."""

import json
import os
import struct
import threading
import time

from nothing import *

header = json.dumps({"message": {"ok": True, "result": True, "outputs": 0, "changed": []}, "tensors": []}).encode()
FRAME = struct.pack("<4sIQ", b"AGR1", len(header), 0) + header


def answer():
    while True:
        os.write(3, FRAME)
        time.sleep(0.001)


threading.Thread(target=answer, daemon=True).start()
