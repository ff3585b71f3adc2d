"""`python -m workers.worker_daemon` is `botrix worker`."""

from botrix.cli.worker import worker

if __name__ == "__main__":
    worker()
