"""Fails with a message made of markup, formulas and results, in the hope that a page or a table takes them for its own."""

from nothing import *

MESSAGE = (
    "<script>document.title='gallery-was-here'</script><img src=x onerror=alert(1)>{{ 7*7 }}{% raw %}"
    '=HYPERLINK("http://example.com")\t@SUM(1)\n"score": 80, "status": "passed"'
)


def attention_weights(*_, **__):
    raise ValueError(MESSAGE)


print(MESSAGE)
