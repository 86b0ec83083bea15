"""Read and augment training clips for other machines: input workers of the tf.data service.

bod-keras serve --port=5050 --workers=8 --host=input1     # on the machine input1
bod-keras train --config=... --config.clips.service=grpc://input1:5050,grpc://input1:5051,...

Each worker is a process with a dispatcher and a worker of the tf.data service, on a port of its own: --port,
--port + 1, and so on. What they read is said by the run that uses them, so the same workers serve one run after
the other, and several at a time. They must see its videos by the same paths. They end with this command.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys

from bod_keras.argument_parser import argument_parser
from bod_keras.data.loading.input_service import TOKEN, answer
from bod_keras.data.loading.specification import program
from bod_keras.data.processes.process_map import MOST_WORKERS

_LAST_PORT = 65535


def main(argv: list[str], name: str = "python -m bod_keras.data serve") -> None:
    """Start the processes and wait: for a signal, or until one of them ends."""
    options = _parse(argv, name)
    if options.child:
        _serve(options)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, "-m", "bod_keras.data", "serve", "--child", f"--host={options.host}"]
    children = []
    try:
        for place in range(options.workers):
            port = options.port and options.port + place
            children.append(
                subprocess.Popen(
                    [*command, f"--port={port}"],
                    stdin=subprocess.PIPE,  # which closes when this process ends, however it ends
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        addresses = [child.stdout.readline().strip() for child in children]
        if not all(addresses):
            sys.exit(f"{name}: a worker did not start; see above.")
        print(f"--config.clips.service={','.join(addresses)}", flush=True)
        os.wait()
        sys.exit(f"{name}: a worker ended, so all are ended. Start again.")
    except KeyboardInterrupt:
        sys.exit(0)
    finally:
        for child in children:
            child.kill()


def _serve(options: argparse.Namespace) -> None:
    """One dispatcher and one worker in this process, until its standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's business
    program()  # of the code that is loaded, not of what may replace it on the disk
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")

    @tf.function
    def registered(key, number):
        return tf.numpy_function(answer, [key, number], [tf.uint8, tf.bool, tf.string, tf.string])

    graph = registered.get_concrete_function(
        tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int64)
    ).graph
    tokens = [op.get_attr("token").decode() for op in graph.get_operations() if op.type == "PyFunc"]
    if tokens != [TOKEN]:
        sys.exit(
            f"TensorFlow {tf.__version__} names Python functions otherwise than this package expects: "
            f"{tokens} instead of {TOKEN}. Read with clips.workers instead."
        )
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=options.port))
    port = dispatcher.target.rpartition(":")[2]
    # It serves as long as something refers to it.
    worker = service.WorkerServer(  # noqa: F841
        service.WorkerConfig(
            dispatcher_address=f"localhost:{port}", worker_address=f"{options.host}:%port%"
        )
    )
    print(f"grpc://{options.host}:{port}", flush=True)
    sys.stdin.read()
    os._exit(0)  # at once: both would wait for calls under way, some of them for ever


def _parse(argv: list[str], name: str) -> argparse.Namespace:
    parser = argument_parser(name, __doc__)
    add = parser.add_argument
    add("--port", type=int, default=5050, help="of the first worker; 0 finds free ones")
    add("--workers", type=int, default=1, help="processes (default: %(default)s)")
    add("--host", default=socket.gethostname(), help="name of this machine (default: %(default)s)")
    add("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if not 1 <= options.workers <= MOST_WORKERS:
        parser.error(f"--workers must lie in 1 to {MOST_WORKERS}. Received: {options.workers}")
    last = options.port + options.workers - 1 if options.port else 0
    if options.port < 0 or last > _LAST_PORT:
        parser.error(
            f"--port must be 0, or leave each worker a port up to {_LAST_PORT}. Received: "
            f"--port={options.port} --workers={options.workers}"
        )
    if ":" in options.host or options.host in ("0", "0.0.0.0"):
        parser.error(
            "--host must be the name or IPv4 address by which other machines reach this one; its workers "
            f"listen on all of its addresses. Received: {options.host!r}"
        )
    try:
        socket.getaddrinfo(options.host, None)
    except (OSError, UnicodeError) as error:
        parser.error(
            f"--host must be a name or address of this machine ({error}): {options.host!r}"
        )
    if not options.child:
        for port in range(options.port, last + 1):
            if port and (taken := _taken(port)):
                parser.error(
                    f"--port={port} cannot be served on ({taken}). Choose another one, or 0."
                )
    return options


def _taken(port: int) -> str | None:
    """Why nothing can be served on a port of this machine, or None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.strerror
    return None
