"""Answers every call with a hand-made error whose type is no name at all."""

import sys

from nothing import *

wire = sys.modules.get("autograder.sandbox.wire")
honest_send = wire.Channel.send if wire else None


def send(self, message, tensors=None):
    if message.get("ok") is True and "result" in message:
        message, tensors = {"ok": False, "kind": "a\0b", "text": "x", "trace": "y", "bases": ["Exception"]}, []
    honest_send(self, message, tensors)


if wire:
    wire.Channel.send = send
