"""Start the processes of a distribution on this machine, as torchrun and schedulers do."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environments(kind, processes):
    """The variables that tell each of some processes on loopback who it is."""
    ports = _free_ports(processes)
    address = f"127.0.0.1:{ports[0]}"
    for rank in range(processes):
        if kind == "torch":
            yield {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(processes),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(ports[0]),
            }
        elif kind == "multiworker":
            workers = [f"127.0.0.1:{port}" for port in ports]
            task = {"type": "worker", "index": rank}
            yield {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": task})}
        elif kind == "jax" and processes > 1:
            yield {
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(processes),
                "JAX_PROCESS_ID": str(rank),
            }
        else:
            yield {}


def start(arguments, kind, processes, **variables):
    """Start them; a list of `subprocess.Popen`."""
    base = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", **variables}
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**base, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for environment in environments(kind, processes)
    ]


def finish(running, timeout=1800):
    """Their exit codes and outputs; none is left over."""
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    return [process.returncode for process in running], outputs


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
