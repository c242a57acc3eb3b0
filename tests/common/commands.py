"""Commands as a user types them, in this process."""

from __future__ import annotations

from leadline.cli import main


def run(capsys, *arguments) -> tuple[int, str, str]:
    """Exit code, what was printed, and what was said on the error channel."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err
