"""Tries to live on when it is ended: fork, setsid, another group, deaf to signals; a thread for as long as it lasts."""

import os
import signal
import threading
import time

from nothing import *


def live_on():
    for act in (lambda: os.fork() and os._exit(0), os.setsid, lambda: os.setpgid(0, 0), lambda: os.fork()):
        try:
            act()
        except OSError as error:
            print(error)
    while True:
        time.sleep(1)


for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
threading.Thread(target=live_on).start()
