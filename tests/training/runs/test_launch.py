"""How processes on the CPU end."""

import subprocess
import sys


SCRIPT = """
import atexit
import os
import torch
import torch.distributed as dist
from accelerate import PartialState
from hicra_trl.training.upstream.cpu_ranks import leave_cpu_ranks

if __name__ == "__main__":
    state = PartialState(cpu=True)
    atexit.register(os.write, 1, b"left\\n")  # one write: lines of two ranks cannot mix
    world = dist.group.WORLD  # held as DeepSpeed holds its groups: destroyed, its threads live on
    for _ in range(100):
        tensor = torch.ones(10)
        tensor.of_python = True
        dist.all_reduce(tensor, async_op=True)
        del tensor
    state.destroy_process_group()
    leave_cpu_ranks(state)
"""


def test_a_rank_whose_collectives_are_not_done_leaves_as_a_success(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run([*launch, tmp_path / "script.py"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "left\nleft\n"
