"""`python -m botrix` is `botrix`."""

from botrix.cli import main

if __name__ == "__main__":
    main(prog_name="botrix")
