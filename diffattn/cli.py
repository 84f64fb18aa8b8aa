"""The command line: train a classifier, evaluate it, ask it, compare many.

TensorFlow is imported by the commands that need it, after their arguments have
been checked: ``--help`` and a typing mistake are answered at once.
"""

import argparse
import io
import os
import re
import sys
import warnings
from contextlib import contextmanager
from dataclasses import fields, replace
from importlib import import_module, metadata

from diffattn import __version__
from diffattn.data import DATASETS
from diffattn.errors import UserError
from diffattn.files import check_folder, expand
from diffattn.studies import STUDIES
from diffattn.studies.grid import grid
from diffattn.training.config import Config


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit.

    Args:
        arguments: list of str, by default those of the process.

    Exit status: 0 when done, 2 on a mistake of the user's, 130 on Ctrl-C, 141 when
    nobody reads the output any more.
    """
    _prepare_streams()
    parser = _Parser(prog="diffattn")  # for errors; the whole one comes with imports
    try:
        with _flushed_output(), _warnings_in_one_line():
            options = _parse(arguments)
            options.command(options)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has left, as `head` does
        sys.exit(128 + 13)  # as SIGPIPE ends other commands
    except ModuleNotFoundError as error:
        extra = _extra_with(error.name)
        if extra is None:
            raise
        parser.error(
            f"this needs {error.name}, which is not installed: "
            f"pip install 'diffattn[{extra}]'"
        )
    except (OSError, UserError) as error:  # OSError: a full disk, a file not ours
        parser.error(str(error))


def _prepare_streams():
    """Let output never fail for its characters, and never for lack of a stream.

    What the encoding lacks becomes a question mark, in messages an escape. Where a
    stream is closed, Python has None.
    """
    for name, errors in (("stdout", "replace"), ("stderr", "backslashreplace")):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper):  # a notebook has its own kind
            stream.reconfigure(errors=errors)


@contextmanager
def _flushed_output():
    """See that all output has been written, while an error can still be reported."""
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # Python flushes again when it ends; then it must not fail.
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            raise


@contextmanager
def _warnings_in_one_line():
    def show(message, *_, **__):
        print(f"diffattn: warning: {_one_line(message)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _one_line(text):
    """Return a text with line breaks and control characters as Python escapes them."""
    return re.sub(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029]",
        lambda control: control[0].encode("unicode_escape").decode(),
        str(text),
    )


def _extra_with(module):
    """The extra of this package that brings a module, None if there is none."""
    for requirement in metadata.requires("diffattn") or ():
        if match := re.fullmatch(rf"{module}\b.*extra == .(\w+).", requirement):
            return match[1]
    return None


def _parse(arguments):
    """Read the command line, once the modules that it imports have had their say."""
    first = _Parser(prog="diffattn", add_help=False)
    _add_import(first)
    known, _ = first.parse_known_args(arguments)
    for name in known.modules:
        try:
            with _quiet():
                import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(f"--import {name}: {error}") from error
    return _parser().parse_args(arguments)


def _add_import(parser):
    parser.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="first import a Python module, with scores, data sets, tasks or studies "
        "of your own; more than once for more",
    )


class _Parser(argparse.ArgumentParser):
    """argparse's, but a mistake is told in one line, without the usage.

    An abbreviation is a mistake: with --seed for --seeds, another thing is trained.
    """

    def __init__(self, **how):
        super().__init__(**how, allow_abbrev=False)
        # argparse's own pattern knows no exponent: -1e-5 would be an option.
        self._negative_number_matcher = re.compile(
            r"-(\d+\.?|\d*\.\d+)(e[-+]?\d+)?$", re.I
        )

    def error(self, message):
        line = _one_line(" ".join(message.splitlines()))
        self.exit(2, f"{self.prog}: error: {line}\n")


def _parser():
    parser = _Parser(
        prog="diffattn",
        description="Train a text classifier with one of six attention scores, and "
        "ask it about reviews.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    _add_import(parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_predict(commands)
    _add_table(commands)
    return parser


def _add_train(commands):
    parser = commands.add_parser(
        "train",
        help="train a classifier and save it as a run",
        description="Train a classifier, evaluate it on the test reviews, and save it "
        "as a run: a folder named by its time. The defaults are the documented "
        "settings for IMDB, and those that fit the generated data.",
    )
    parser.set_defaults(command=_train)
    _add_settings(parser)
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="where to save the run (default: runs)",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with an unfinished run, with its own settings",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write logs for TensorBoard into the run",
    )


def _add_settings(parser, without=()):
    """An option for each field of Config."""
    for setting in fields(Config):
        if setting.name not in without:
            parser.add_argument(
                _flag(setting.name),
                default=argparse.SUPPRESS,
                help=f"{_describe(setting)} (default: {_defaults(setting)})",
                **_how_to_parse(setting),
            )


def _describe(setting):
    """A setting's help text, which may depend on what has been imported."""
    text = setting.metadata["help"]
    return text() if callable(text) else text


def _defaults(setting):
    """A setting's default, and what it is for the data that need another one."""
    others = [
        f"for {dataset.name} {dataset.settings[setting.name]}"
        for dataset in DATASETS.values()
        if setting.name in dataset.settings
    ]
    return f"{setting.metadata['default']}" + "; " * bool(others) + ", ".join(others)


def _flag(name):
    return "--" + name.replace("_", "-")


def _how_to_parse(setting):
    """argparse's keywords for one field of Config."""
    if setting.type is bool:
        return {"action": argparse.BooleanOptionalAction}
    if setting.type is str:
        return {"metavar": setting.name.removeprefix("attention_").upper()}
    kind = int if setting.type is int else float
    return {"type": kind, "metavar": "N" if kind is int else "X"}


def _add_evaluate(commands):
    parser = commands.add_parser(
        "evaluate",
        help="loss and accuracy of a run on test reviews",
        description="Print a run's loss and accuracy on the test reviews of the data "
        "that it was trained on, or of other data.",
    )
    parser.set_defaults(command=_evaluate)
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument(
        "--data",
        help="'sample', 'order', 'imdb' or a path, instead of the run's own data",
    )


def _add_predict(commands):
    parser = commands.add_parser(
        "predict",
        help="ask a run about reviews",
        description="Print how probably each text is a positive review.",
    )
    parser.set_defaults(command=_predict)
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument(
        "texts",
        nargs="*",
        metavar="TEXT",
        help="a review; without any, one is read from each line of the standard input",
    )


def _add_table(commands):
    parser = commands.add_parser(
        "table",
        help="train many, or read what was trained, and print the table",
        description="Train every attention type with every seed, and print means, "
        "intervals and differences. Each finished run is one small JSON file; the same "
        "command goes on where it was stopped. With --from, nothing is trained. The "
        "settings are those of `diffattn train`.",
    )
    parser.set_defaults(command=_table)
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--from",
        dest="source",
        metavar="FOLDER",
        help="only read the results in this folder",
    )
    studies = "; ".join(f"{name}: {s.question}" for name, s in STUDIES.items())
    either.add_argument(
        "--study",
        choices=STUDIES,
        metavar="NAME",
        help=f"train for one of this project's studies ({studies})",
    )
    parser.add_argument(
        "--attention-types",
        type=lambda names: names.split(","),
        default=argparse.SUPPRESS,
        metavar="TYPE,TYPE",
        help="which to train (default: all six and none)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=argparse.SUPPRESS,
        metavar="N",
        help="how many seeds, from 0 on (default: 5)",
    )
    parser.add_argument(
        "--into",
        metavar="FOLDER",
        help="where the results are written (default: table; for a study, results)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="train on the workers of this dask scheduler, not here",
    )
    parser.add_argument(
        "--format",
        choices=["text", "markdown", "csv"],
        default="text",
        help="how to print the table (default: text)",
    )
    parser.add_argument(
        "--figures", metavar="FOLDER", help="where to draw the results, as PNG files"
    )
    _add_settings(parser, without=("attention_type", "seed"))


def _given(options, *more):
    """The settings of `Config`, and more options, that were given."""
    names = {*more, *(setting.name for setting in fields(Config))}
    return {name: value for name, value in vars(options).items() if name in names}


def _train(options):
    settings = _given(options)
    if options.resume is None:
        try:
            with _quiet():
                Config(**settings)
        except ValueError as error:
            raise UserError(error) from error
    elif settings or options.output is not None:
        given = [*settings, *(["output"] if options.output is not None else [])]
        flags = ", ".join(map(_flag, given))
        raise UserError(
            f"--resume goes with the run's own settings and folder, not with {flags}"
        )
    with _quiet():
        from tensorflow.errors import ResourceExhaustedError

        from diffattn.training.run import train

    try:
        run = train(
            output=options.output or "runs",
            resume=options.resume,
            tensorboard=options.tensorboard,
            verbose=1 if sys.stdout.isatty() else 2,
            **settings,
        )
    except (MemoryError, ResourceExhaustedError) as error:
        raise UserError(
            "training needs more memory than there is: lower batch_size, "
            "sequence_length, embed_dim, embedding_dim or vocabulary_size"
        ) from error
    _print_numbers(run.metrics)
    print(f"{'saved as':<20}{run.path}")


def _evaluate(options):
    with _quiet():
        from diffattn.data.datasets import load_data
        from diffattn.training.run import load_run

    run = load_run(options.run)
    config = run.config
    if options.data is not None:
        try:
            config = replace(config, data=options.data)
        except ValueError as error:  # the run reads too few tokens for the order task
            raise UserError(f"{options.data} does not fit the run: {error}") from error
    reviews = load_data(config, progress=sys.stderr.isatty())
    _print_numbers(run.evaluate(reviews.test))


def _predict(options):
    with _quiet():
        from diffattn.training.run import load_run

    run = load_run(options.run)
    texts = _texts(options)
    for text, answer in zip(texts, run.predict(texts), strict=True):
        print(f"{run.task.format_answer(answer)}\t{_one_line(text)}")


def _texts(options):
    try:
        return [*map(_from_argument, options.texts)] or _lines_of_standard_input()
    except UnicodeError as error:
        raise UserError(f"the texts must be UTF-8: {error}") from error


def _from_argument(text):
    """Decode an argument that Python could not decode in the user's locale."""
    try:
        text.encode()
    except UnicodeEncodeError:  # it has kept the bytes, as surrogates
        return os.fsencode(text).decode()
    return text


def _lines_of_standard_input():
    """Read it as UTF-8 in every locale, like the files of reviews."""
    if sys.stdin is None:
        return []
    if isinstance(sys.stdin, io.TextIOWrapper):
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    else:
        text = sys.stdin.read()
    return [line.rstrip("\n") for line in io.StringIO(text, newline=None)]


def _table(options):
    given = _given(options, "attention_types", "seeds")
    _check_goes_together(options, given)
    if options.figures is not None:
        check_folder(options.figures)
    if options.source is None:
        _train_table(options, given)
    from diffattn.studies.report import draw, report, write_csv
    from diffattn.studies.results import read_results

    runs = read_results(options.source or _table_folder(options))
    if options.format == "csv":
        if isinstance(sys.stdout, io.TextIOWrapper):
            # For programs, which expect the same in every locale.
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        write_csv(runs, sys.stdout)
    else:
        layout = {"text": "simple", "markdown": "pipe"}[options.format]
        with _quiet():
            tables = report(runs)
        print("\n\n".join(table.format(layout) for table in tables))
    if options.figures is not None:
        with _quiet():
            draw(runs, options.figures)


def _check_goes_together(options, given):
    """What has its settings already takes no others."""
    fixed, refused = options.study, [*given]
    if options.source is not None:
        of_training = ("into", "cluster")
        refused += [name for name in of_training if getattr(options, name) is not None]
        fixed = "--from"
    if fixed and refused:
        raise UserError(f"{fixed} does not go with {', '.join(map(_flag, refused))}")


def _table_folder(options):
    return options.into or ("results" if options.study else "table")


def _train_table(options, given):
    folder = expand(_table_folder(options))
    try:
        grids = (
            {folder / name: g for name, g in STUDIES[options.study].grids.items()}
            if options.study
            else {folder: grid(**given)}
        )
    except ValueError as error:
        raise UserError(error) from error
    with _quiet():
        from diffattn.studies.runner import run_grid
    try:
        for folder_of_grid, configs in grids.items():
            run_grid(configs, folder_of_grid, cluster=options.cluster)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on", file=sys.stderr)
        raise


@contextmanager
def _quiet():
    """Keep what native code writes to the standard error off the screen.

    TensorFlow greets with notes on the machine before any setting can stop it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _print_numbers(numbers):
    for name, value in numbers.items():
        text = f"{value:.4f}" if isinstance(value, float) else str(value)
        print(f"{name.replace('_', ' '):<20}{text}")
