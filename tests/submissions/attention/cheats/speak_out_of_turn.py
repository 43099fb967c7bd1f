"""Writes answers into the socket to the judge before it has asked."""

import json
import os
import struct

from nothing import *


def frame(message):
    header = json.dumps({"message": message, "tensors": []}).encode()
    return struct.pack("<4sIQ", b"AGR1", len(header), 0) + header


for _ in range(50):
    os.write(3, frame({"ok": True, "found": "function", "result": None, "outputs": 0, "changed": [], "present": []}))
