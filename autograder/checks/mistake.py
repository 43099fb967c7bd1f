"""For tests that recognise a mistake by what it does, where no call can be replayed: a training, a sampler."""


class Mistake(AssertionError):
    """Fails a hidden test and names the misconception behind it.

    Args:
        misconception: its key in `misconceptions.py`. Name it only where the behaviour can mean nothing else.
        message: what was expected and what was found, for the student.
    """

    def __init__(self, misconception: str, message: str) -> None:
        super().__init__(message)
        self.misconception = misconception
