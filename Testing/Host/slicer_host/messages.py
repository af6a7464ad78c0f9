"""What message boxes showed, and what the user will answer: the host's only door for dialogs."""

shown: list[str] = []
answers: list = []
