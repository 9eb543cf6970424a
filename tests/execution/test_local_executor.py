"""The local executor, held to what any executor must do."""

from harness.execution.executors.local import LocalExecutor
from harness.testing.executors import ExecutorTests


class TestLocalExecutor(ExecutorTests):
    def make(self, slots, folder):
        return LocalExecutor(slots, 1)
