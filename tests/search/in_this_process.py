"""An executor without processes."""

from harness.execution.executors.local import Ended


class InThisProcess:
    """An executor without processes, so that a test can watch what an attempt reads."""

    slots = 1

    def __init__(self):
        self.ended = []

    def __call__(self, _slots, _threads):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def start(self, folder, _timeout_s):
        from harness.training.attempt import run_attempt

        run_attempt(folder)
        self.ended.append(Ended(folder))

    def wait(self, _timeout_s):
        ended, self.ended = self.ended, []
        return ended

    def kill(self):
        pass
