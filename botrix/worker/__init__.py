"""The worker daemon: `ls` here tells what runs in it."""
