"""The one way in which provisioning fails: a sentence that says what is wrong and how to mend it."""


class ProvisionError(Exception):
    """What is wrong and what mends it, in one sentence for the person at the terminal."""

    def __init__(self, wrong: str, *, mend: str) -> None:
        super().__init__(f"{wrong} {mend}")
        self.wrong = wrong
        self.mend = mend
