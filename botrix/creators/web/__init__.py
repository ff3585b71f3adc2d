"""What the creators of directories behind HTTP share: http.py asks, answer.py reads what came."""
