"""Calls home: by TCP, UDP, names, Unix and netlink sockets, and with a server of its own. Tells what worked."""

import socket
import urllib.request

from nothing import *

KINDS = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM), "tcp6": (socket.AF_INET6, socket.SOCK_STREAM),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM), "unix": (socket.AF_UNIX, socket.SOCK_STREAM),
    "netlink": (16, socket.SOCK_RAW), "raw": (17, socket.SOCK_RAW), "vsock": (40, socket.SOCK_STREAM),
    "bluetooth": (31, socket.SOCK_RAW), "alg": (38, socket.SOCK_SEQPACKET), "xdp": (44, socket.SOCK_RAW),
}  # fmt: skip


def worked(action):
    try:
        action()
        return True
    except OSError:
        return False


def loot():
    found = [name for name, kind in KINDS.items() if worked(lambda kind=kind: socket.socket(*kind))]
    ways = {
        "a connection": lambda: socket.create_connection(("127.0.0.1", 22), timeout=0.1),
        "a server": lambda: socket.create_server(("127.0.0.1", 18765)),
        "a name": lambda: socket.getaddrinfo("example.org", 80),
        "a page": lambda: urllib.request.urlopen("http://127.0.0.1:1", timeout=0.1),
    }
    return found + [name for name, way in ways.items() if worked(way)]


def attention_weights(*_, **__):
    raise RuntimeError(f"LOOT{loot()}")
