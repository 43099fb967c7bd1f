"""Asks the judge, in the middle of a call, to call functions that it never offered."""

import json
import os
import struct

import torch

from nothing import *


def frame(message):
    header = json.dumps({"message": message, "tensors": []}).encode()
    return struct.pack("<4sIQ", b"AGR1", len(header), 0) + header


def ask(*_, **__):
    for number in (0, 1, -1, True, "__import__", [0], 10**30):
        os.write(3, frame({"callback": number, "arguments": {"u": [{"l": ["os"]}, {"d": []}]}, "ok": True}))
    return torch.zeros(())


attention_weights = scaled_dot_product_attention = kernel_regression = low_rank_attention = ask
attention_weights_vjp = score_rank = ask
