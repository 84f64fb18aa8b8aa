"""The command line: train a classifier, evaluate it, apply it, compare many.

Commands that need TensorFlow import it after checking their arguments, so that
``--help`` and typing mistakes get an immediate answer.
"""

import argparse
import io
import itertools
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
from diffattn.names import MODEL_TYPES
from diffattn.studies import STUDIES
from diffattn.studies.grid import grid
from diffattn.training.config import Config, setting_type


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit.

    Args:
        arguments: list of str, by default those of the process.

    Exit status: 0 on success, 2 on a user's mistake, 130 on Ctrl-C, 141 if the reader
    of the output has left.
    """
    _prepare_streams()
    parser = _Parser(prog="diffattn")  # reports errors; _parse makes the full one
    try:
        with _flushed_output(), _warnings_in_one_line():
            options = _parse(arguments)
            options.command(options)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has left, as `head` does
        sys.exit(128 + 13)  # the status of a command that SIGPIPE ends
    except ModuleNotFoundError as error:
        extra = _extra_for(error.name)
        if extra is None:
            raise
        parser.error(
            f"this needs {error.name}, which is not installed: "
            f"pip install 'diffattn[{extra}]'"
        )
    except (OSError, UserError) as error:  # OSError: a full disk, missing permissions
        parser.error(str(error))


def _prepare_streams():
    """Prevent output from failing for its characters or for a closed stream.

    Characters outside the encoding become question marks, in messages escapes. For a
    closed stream, Python has None.
    """
    for name, errors in (("stdout", "replace"), ("stderr", "backslashreplace")):
        stream = getattr(sys, name)
        if stream is None:
            null = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, null)
        elif isinstance(stream, io.TextIOWrapper):  # not so in a notebook
            stream.reconfigure(errors=errors)


@contextmanager
def _flushed_output():
    """Write all output while an error can still be reported."""
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # Python flushes again at exit, and must not fail then.
            with open(os.devnull, "w") as null:
                os.dup2(null.fileno(), sys.stdout.fileno())
            raise


@contextmanager
def _warnings_in_one_line():
    """Print each warning as one line of the command's own."""

    def show(message, *_, **__):
        print(f"diffattn: warning: {_one_line(message)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _one_line(text):
    """Replace line breaks and control characters by Python's escapes."""
    return re.sub(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029]",
        lambda control: control[0].encode("unicode_escape").decode(),
        str(text),
    )


def _extra_for(module):
    """Return the extra of this package that installs a module, None if none does."""
    for requirement in metadata.requires("diffattn") or ():
        if match := re.fullmatch(rf"{module}\b.*extra == .(\w+).", requirement):
            return match[1]
    return None


def _parse(arguments):
    """Import the modules that the command line names, then read it."""
    first = _Parser(prog="diffattn", add_help=False)
    _add_import(first)
    known, _ = first.parse_known_args(arguments)
    for name in known.modules:
        if not all(part.isidentifier() for part in name.split(".")):
            raise UserError(f"--import {name}: this is not the name of a module")
        try:
            with _quiet():
                import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(f"--import {name}: {error}") from error
        except Exception as error:  # whatever the module does
            raise UserError(
                f"--import {name}: {type(error).__name__}: {error}"
            ) from error
    parser = _parser()
    _refuse_two_dashes(parser, sys.argv[1:] if arguments is None else arguments)
    return parser.parse_args(arguments)


def _refuse_two_dashes(parser, arguments):
    """Refuse --option=--, of which argparse makes an empty list."""
    for argument in itertools.takewhile(lambda argument: argument != "--", arguments):
        option, _, value = argument.partition("=")
        if option.startswith("-") and value == "--":
            parser.error(f"argument {option}: invalid value: '--'")


def _add_import(parser):
    parser.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="first import a Python module with your own scores, data sets, tasks or "
        "studies; may be repeated",
    )


class _Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line, without the usage.

    It refuses abbreviations: --seed for --seeds would train something else.
    """

    def __init__(self, **options):
        super().__init__(**options, allow_abbrev=False)
        # Before Python 3.14, argparse takes -1e-5 for an option, since its pattern has
        # no exponent (python/cpython#105712).
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
        "classify reviews with it.",
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
        "as a run: a folder named after the time. The defaults are the documented "
        "settings for IMDB, and settings that fit the generated data.",
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
        help="continue an unfinished run, with its own settings",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write logs for TensorBoard into the run",
    )


def _add_settings(parser, without=()):
    """Add an option for each field of Config."""
    for setting in fields(Config):
        if setting.name not in without:
            parser.add_argument(
                _flag(setting.name),
                default=argparse.SUPPRESS,
                help=f"{_describe(setting)} (default: {_describe_default(setting)})",
                **_parsing_options(setting),
            )


def _describe(setting):
    """Return a setting's help text, which may depend on imported modules."""
    text = setting.metadata["help"]
    return text() if callable(text) else text


def _describe_default(setting):
    """Name a setting's default, and those of data sets that need another one."""
    others = [
        f"for {dataset.name} {dataset.settings[setting.name]}"
        for dataset in DATASETS.values()
        if setting.name in dataset.settings
    ]
    return f"{setting.metadata['default']}" + "; " * bool(others) + ", ".join(others)


def _flag(name):
    return "--" + name.replace("_", "-")


def _parsing_options(setting):
    """Return argparse's keyword arguments for one field of Config."""
    kind = setting_type(setting)
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if kind is str:
        return {"metavar": setting.name.removeprefix("attention_").upper()}
    return {"type": kind, "metavar": "N" if kind is int else "X"}


def _split_types(names):
    """Split at the commas that are in no brackets: these belong to a type's options."""
    types, depth = [""], 0
    for sign in names:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            types.append("")
        else:
            types[-1] += sign
    return types


def _add_evaluate(commands):
    parser = commands.add_parser(
        "evaluate",
        help="measure a run's loss and accuracy on test reviews",
        description="Print a run's loss and accuracy on the test reviews of its own "
        "data or of other data.",
    )
    parser.set_defaults(command=_evaluate)
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument(
        "--data",
        help=f"{', '.join(DATASETS)} or a path, instead of the run's own data",
    )


def _add_predict(commands):
    parser = commands.add_parser(
        "predict",
        help="classify reviews with a run",
        description="Print the probability that each text is a positive review.",
    )
    parser.set_defaults(command=_predict)
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument(
        "texts",
        nargs="*",
        metavar="TEXT",
        help="a review (default: each line of the standard input)",
    )


def _add_table(commands):
    parser = commands.add_parser(
        "table",
        help="train many, or read their results, and print a table",
        description="Train every attention type with every seed, and print means, "
        "intervals and differences. Each finished run is one small JSON file; after an "
        "interruption, the same command trains the rest. With --from, it trains "
        "nothing. The settings are those of `diffattn train`.",
    )
    parser.set_defaults(command=_table)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--from",
        dest="source",
        metavar="FOLDER",
        help="only read the results in this folder",
    )
    studies = "; ".join(f"{name}: {s.question}" for name, s in STUDIES.items())
    source.add_argument(
        "--study",
        choices=STUDIES,
        metavar="NAME",
        help=f"train for one of this project's studies ({studies})",
    )
    parser.add_argument(
        "--attention-types",
        type=_split_types,
        default=argparse.SUPPRESS,
        metavar="TYPE,TYPE",
        help="which to train (default: all six and none)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=argparse.SUPPRESS,
        metavar="N",
        help="the number of seeds, from 0 on (default: 5)",
    )
    parser.add_argument(
        "--into",
        metavar="FOLDER",
        help="where to write the results (default: table; for a study, results)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="train on the workers of this dask scheduler, not on this machine",
    )
    parser.add_argument(
        "--format",
        choices=["text", "markdown", "csv"],
        default="text",
        help="how to print the table (default: text)",
    )
    parser.add_argument(
        "--figures", metavar="FOLDER", help="where to save figures of the results (PNG)"
    )
    _add_settings(parser, without=("attention_type", "seed"))


def _given(options, *others):
    """Return the options that were given: settings of `Config`, and those named."""
    names = {*others, *(setting.name for setting in fields(Config))}
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
        raise UserError(f"--resume uses the run's own settings and folder, not {flags}")
    with _quiet():
        from diffattn.training.run import train

    with _memory_named("training"):
        run = train(
            output=options.output or "runs",
            resume=options.resume,
            tensorboard=options.tensorboard,
            verbose=1 if sys.stdout.isatty() else 2,
            **settings,
        )
    _print_numbers(run.metrics)
    print(f"{'saved as':<20}{run.path}")


@contextmanager
def _memory_named(work):
    """Report in one line that a work needs more memory than there is."""
    with _quiet():
        from tensorflow.errors import ResourceExhaustedError

    try:
        yield
    except (MemoryError, ResourceExhaustedError) as error:
        raise UserError(
            f"{work} needs more memory than this machine has: lower batch_size, "
            "sequence_length, embed_dim, embedding_dim or vocabulary_size"
        ) from error


def _evaluate(options):
    with _quiet():
        from diffattn.data.datasets import check_at_rest, get_dataset, load_data
        from diffattn.training.run import load_run

    run = load_run(options.run)
    config = run.config
    if options.data is None:
        check_at_rest(config)
    else:
        task, own_task = get_dataset(options.data).task, config.dataset.task
        if task != own_task:
            raise UserError(
                f"{options.data} does not fit the run: its task is {task}, "
                f"the run's {own_task}"
            )
        try:
            config = replace(config, data=options.data)
        except ValueError as error:  # the run reads too few tokens for the order task
            raise UserError(f"{options.data} does not fit the run: {error}") from error
    with _memory_named("evaluating"):
        reviews = load_data(config, progress=sys.stderr.isatty())
        _print_numbers(run.evaluate(reviews.test))


def _predict(options):
    with _quiet():
        from diffattn.training.run import load_run

    run = load_run(options.run)
    texts = _texts(options)
    with _memory_named("predicting"):
        answers = run.predict(texts)
    for text, answer in zip(texts, answers, strict=True):
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
    except UnicodeEncodeError:  # its surrogates stand for the original bytes
        return os.fsencode(text).decode()
    return text


def _lines_of_standard_input():
    """Read the standard input as UTF-8 in every locale, like the files of reviews."""
    if sys.stdin is None:
        return []
    if isinstance(sys.stdin, io.TextIOWrapper):
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    else:
        text = sys.stdin.read()
    return [line.rstrip("\n") for line in io.StringIO(text, newline=None)]


def _table(options):
    given = _given(options, "attention_types", "seeds")
    _check_conflicts(options, given)
    if options.figures is not None:
        check_folder(options.figures)
    if options.source is None:
        _train_table(options, given)
    from diffattn.studies.report import draw, report, write_csv
    from diffattn.studies.results import read_results

    with _quiet():  # scores with options load Keras
        runs = read_results(options.source or _table_folder(options))
    if options.format == "csv":
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Programs read it, and expect the same bytes in every locale.
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


def _check_conflicts(options, given):
    """Refuse settings for a study or stored results, which have their own."""
    fixed, refused = options.study, [*given]
    if options.source is not None:
        refused += [n for n in ("into", "cluster") if getattr(options, n) is not None]
        fixed = "--from"
    if fixed and refused:
        flags = ", ".join(map(_flag, refused))
        raise UserError(f"{fixed} cannot be combined with {flags}")


def _table_folder(options):
    return options.into or ("results" if options.study else "table")


def _train_table(options, given):
    folder = expand(_table_folder(options))
    models = given.pop("attention_types", MODEL_TYPES)
    try:
        with _quiet():  # scores with options load Keras
            grids = (
                {folder / name: g for name, g in STUDIES[options.study].grids.items()}
                if options.study
                else {folder: grid(models, **given)}
            )
    except ValueError as error:
        raise UserError(error) from error
    with _quiet():
        from diffattn.studies.runner import run_grid
    try:
        for folder_of_grid, configs in grids.items():
            run_grid(configs, folder_of_grid, cluster=options.cluster)
    except KeyboardInterrupt:
        print("\ninterrupted; repeat the command to continue", file=sys.stderr)
        raise


@contextmanager
def _quiet():
    """Discard what native code writes to the standard error.

    TensorFlow (2.21) logs notes on the machine before any setting can stop it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # the standard error is closed
        yield
        return
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _print_numbers(numbers):
    for name, value in numbers.items():
        text = f"{value:.4f}" if isinstance(value, float) else str(value)
        print(f"{name.replace('_', ' '):<20}{text}")
