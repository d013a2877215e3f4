"""By file, for `--dist loadfile`: a worker that died ran its last test, and others run what it had not begun.

pytest-xdist 3.8 runs that test again in each worker that replaces it, and may wait for ever after it. Can go with a
release that has pytest-dev/pytest-xdist#1371 and #1378.
"""

from xdist.scheduler import LoadFileScheduling


class ByFile(LoadFileScheduling):
    def remove_node(self, node):
        left = [test for unit in self.assigned_work.pop(node).values() for test, over in unit.items() if not over]
        for test in left[1:]:
            self.workqueue.setdefault(self._split_scope(test), {})[test] = False
        for other in self.assigned_work if left else ():
            self._reschedule(other)
        return left[0] if left else None

    def _reschedule(self, node):
        """Who has not collected gets tests later; a test begins once the next is known, or that it is the last."""
        if node not in self.registered_collections:
            return
        super()._reschedule(node)
        if not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            self._reschedule(node)


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None
