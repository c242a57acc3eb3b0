"""The command line: one file per command, each holding one function whose signature is the interface.

Only the command that runs is parsed and only it imports what it needs, so that ``leadline --help`` is instant.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

from leadline import __version__
from leadline.errors import ConfigError, LeadlineError, disk_full, suggest

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

#: Command, what it does; the file of the same name holds it.
COMMANDS = {
    "distill": "teach a small student what a large depth model knows, on your own images",
    "train": "run a recipe: a bundled name or a YAML file",
    "predict": "depth of images, folders, videos, webcams",
    "evaluate": "how right a model is, by a protocol",
    "temperature": "choose the attention temperature of bridging gates on frames that nothing is tested on",
    "calibrate": "metric depth from a model that does not know it, by a few known distances",
    "bench": "how fast models are, and what they need, side by side",
    "data": "check, show and pack data sets",
    "export": "write a model for another runtime, checked against torch",
    "label": "a teacher's depth for shards of images, by one process or by a cluster",
    "serve": "a service over HTTP and a page for the browser",
    "synth": "render a world with exact truth",
    "demo": "the whole job, on a world that is rendered and on photographs, with a page that shows it",
    "info": "what a model is, where it comes from, what it may be used for",
}

#: The bundled model that is used where none is named.
BUNDLED = "leadline-general"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0 done, 1 something was wrong with the data, 2 with the command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(arguments)
    except LeadlineError as error:
        print(f"leadline: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print("leadline: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return 0
    except OSError as error:
        if not (reason := disk_full(error)):
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"leadline: {where}cannot be written ({reason}); make room and try again", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    command, *rest = arguments
    if command == "--version":
        print(f"leadline {__version__}")
        return 0
    if command not in COMMANDS:
        raise ConfigError(f"no command '{command}'{suggest(command, COMMANDS)}; there are {', '.join(COMMANDS)}")
    import importlib

    module = importlib.import_module(f"leadline.cli.{command}")
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"leadline: note: {message}", file=sys.stderr)
        return int(module.main(rest) or 0)


def usage() -> str:
    """The help text of ``leadline`` alone."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: leadline COMMAND [options]",
            "",
            "Small, fast, trustworthy monocular depth.",
            "",
            "commands:",
            *(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()),
            "",
            "leadline COMMAND --help says more about each.",
        ]
    )


def make_parser(command: str) -> ArgumentParser:
    """An empty parser for a command."""
    from jsonargparse import ArgumentParser

    return ArgumentParser(
        prog=f"leadline {command}",
        description=COMMANDS[command][0].upper() + COMMANDS[command][1:] + ".",
        exit_on_error=False,
    )


def parse(parser: ArgumentParser, arguments: list[str]):  # type: ignore[no-untyped-def]
    """Parse, with one clear line and a suggestion for what is wrong. ``--some-key`` may stand for ``--some_key``.

    Raises:
        ConfigError: the arguments do not fit.
    """
    from argparse import ArgumentError

    arguments = [_underscored(argument) for argument in arguments]
    try:
        return parser.parse_args(arguments)
    except ArgumentError as error:
        from leadline.cli.complaints import plain

        known = [option.lstrip("-") for action in parser._actions for option in action.option_strings]
        said = plain(str(error), known)
        raise ConfigError(f"{parser.prog.removeprefix('leadline ')}: {said[:600]}; see {parser.prog} --help") from None


def instantiated(parser: ArgumentParser, parsed: Any) -> Any:
    """What was parsed, its classes made.

    Raises:
        LeadlineError: what a class raises; the parser wraps it.
    """
    try:
        return parser.instantiate_classes(parsed)
    except ValueError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, LeadlineError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None


def check_at_least_one(**options: int | None) -> None:
    """See that options that count something do; None is one that was not given.

    Raises:
        ConfigError: one is below 1.
    """
    for name, value in options.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name}: at least 1, not {value}")


def failed(failures: list[str], what: str, most: int = 20) -> int:
    """Say what went wrong with single files; the exit code: 1 where something did.

    Args:
        failures: a line each.
        what: of how many, and what became of them, such as "4 inputs failed".
        most: so many lines are printed.
    """
    if failures:
        lines = [f"  {line}" for line in failures[:most]]
        lines += [f"  ... and {len(failures) - most} more"] if len(failures) > most else []
        print(f"leadline: {len(failures)} of {what}:", *lines, sep="\n", file=sys.stderr)
    return 1 if failures else 0


def _underscored(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value
