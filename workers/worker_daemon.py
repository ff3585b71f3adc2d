"""The documented way to start a worker: `python -m workers.worker_daemon`; same as `botrix worker`."""

from botrix.cli.worker import worker

if __name__ == "__main__":
    worker()
