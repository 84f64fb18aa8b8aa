import functools
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import asdict, fields
from pathlib import Path

import keras
import pytest
from tools import ASCII, weekly_but, weekly_unless

from diffattn import __version__, load_run, train
from diffattn.cli import _parser, main
from diffattn.data import DATASETS
from diffattn.training.config import Config
from diffattn.training.fit import fit_and_evaluate
from diffattn.training.tokens import tokenize

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
#: Stored results that are few: a table of all of them takes half a minute.
SMALL_TABLE = ROOT / "results" / "published" / "split-0.5"


def diffattn(*arguments, **options):
    """Run the command in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "diffattn", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(
        output=tmp_path_factory.mktemp("runs"),
        verbose=0,
        attention_type="differentialSum",
        epochs=3,
    )


def call_main(capsys, *arguments, status=None):
    """Run the command in this process, check its exit status, return its output."""
    if status is None:
        main([str(a) for a in arguments])
    else:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        assert stop.value.code == status
    return capsys.readouterr()


@pytest.mark.parametrize(
    "command", [[], ["train"], ["evaluate"], ["predict"], ["table"]]
)
def test_help_answers_in_under_a_second(command):
    """Of the processor's time: another test may run beside this one."""
    before = os.times()
    answer = diffattn(*command, "--help")
    after = os.times()
    used = after.children_user - before.children_user
    assert used + after.children_system - before.children_system < 1
    assert answer.returncode == 0
    assert answer.stdout.startswith("usage: diffattn")


@functools.cache
def options_in_help(command):
    """Return the help text of each option, in one line."""
    text = diffattn(command, "--help").stdout
    options = re.findall(r"^  --([\w-]+)((?:.|\n {3,})*)", text, re.MULTILINE)
    return {name.replace("-", "_"): in_one_line(words) for name, words in options}


def in_one_line(text):
    """Undo the line breaks of argparse, which breaks behind a hyphen, too."""
    return re.sub(r"\s+", " ", re.sub(r"(?<=\w)-\n\s+", "-", text))


def default_in(text, data):
    """Return the default that an option's help text names for a data set."""
    (defaults,) = re.findall(r"\(default: ([^()]*)\)", text)
    usual, _, others = defaults.partition("; ")
    of_data = dict(other.split()[1:] for other in others.split(", ") if others)
    return of_data.get(data, usual)


@pytest.mark.parametrize("data", DATASETS)
@pytest.mark.parametrize("command", ["train", "table"])
def test_the_help_names_the_actual_defaults(command, data):
    defaults = {
        name: default_in(text, data)
        for name, text in options_in_help(command).items()
        if name in {setting.name for setting in fields(Config)}
    }
    config = asdict(Config(data=data))
    if command == "table":  # which trains all types with many seeds
        del config["attention_type"], config["seed"]
    config["data"] = "sample"  # the default of --data itself
    assert defaults == {name: str(value) for name, value in config.items()}


def test_the_help_names_every_attention_type():
    text = in_one_line(diffattn("train", "--help").stdout)
    assert "scaled_dot_product, cosine_similarity, l1_norm, l2_norm" in text
    assert "layer (default: 512; for sample 32, for sample-new-pairs 32, " in text
    text = in_one_line(diffattn("evaluate", "--help").stdout)
    assert f"{', '.join(DATASETS)} or a path" in text


def test_version():
    assert diffattn("--version").stdout.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--attention-type", "dot"], "one of scaled_dot_product, cosine_"),
        (["train", "--embed-dim", "10"], "embed_dim must be divisible by num_heads"),
        (["train", "--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
        (["train", "--validation-split", "0"], "validation_split must be above 0"),
        (["train", "--validation-split", "1e-9"], "leaves none for training or none"),
        (
            ["train", "--epochs", str(2**31)],
            "epochs must be a positive integer, below 2147483647",
        ),
        (["train", "--attention-type", f"l1_norm(a={'-' * 10**4}1)"], "cannot be read"),
        (
            ["table", "--seeds", str(10**9)],
            "seeds must be a positive integer, below 10",
        ),
        (["train", "--data", "nowhere"], "there is no file or folder nowhere"),
        (["train", "--data", "tests"], "tests is not the whole aclImdb data set"),
        (["train", "--resume", "nowhere"], "there is no folder nowhere"),
        (["train", "--resume", "x", "--seed", "1"], "folder, not --seed"),
        (["train", "--resume", "x", "--output", "y"], "folder, not --output"),
        (["evaluate", "nowhere"], "there is no folder nowhere"),
        (["predict", "tests", "text"], "tests is not a run: it has no run.json"),
        (["train", "--data", "order", "--distance", "24"], "distance must be"),
        (["table", "--from", "tests"], "there are no results in tests"),
        (["table", "--from", "tests", "--epochs", "3"], "combined with --epochs"),
        (["table", "--study", "order", "--seeds", "3"], "order cannot be combined wi"),
        (["table", "--from", "tests", "--study", "order"], "not allowed with argument"),
        (["table", "--data", "nowhere"], "there is no file or folder nowhere"),
        (["table", "--study", "speed"], "argument --study: invalid choice: 'speed'"),
        (["table", "--attention-types", "l3"], "attention_type must be one of scaled_"),
        (["table", "--seeds", "0"], "seeds must be a positive integer"),
        # As an abbreviation of --seeds, it would start 49 trainings.
        (["table", "--data", "nowhere", "--seed", "7"], "unrecognized arguments: --se"),
        (
            ["train", "--data", "nowhere", "--epoch", "7"],
            "unrecognized arguments: --ep",
        ),
        (["train", "--vocabulary-size", "1"], "vocabulary_size must be an integer of"),
        (["train", "--vocabulary-size", "2"], "vocabulary_size must be an integer of"),
        (["train", "--data", "~nobody-here/x"], "no file or folder ~nobody-here/x"),
        (["train", "--data", "nowhere", "--output", "tests/f"], "make the folder test"),
        (
            ["table", "--data", "nowhere", "--into", "tests/f"],
            "make the folder tests/f",
        ),
        (
            ["table", "--data", "nowhere", "--figures", "tests/f/g"],
            "make the folder te",
        ),
        (
            ["table", "--data", "nowhere", "--attention-types", "none,none"],
            "2 of the runs would be kept as table/none-seed-0.json",
        ),
        (
            ["table", "--from", "tests", "--into", "x"],
            "--from cannot be combined with ",
        ),
        (
            ["table", "--from", "", "--seeds", "3"],
            "--from cannot be combined with --se",
        ),
        (["table", "--from", "tests", "--cluster", "x"], "combined with --cluster"),
        (["table", "--from", "tests/x.unfinished"], "run.json is not a result: it has"),
        (["table", "--from", "nowhere"], "there is no folder nowhere"),
        (["table", "--from", "tests/f"], "there is no folder tests/f"),
        *(
            ([*words, "~nobody-here/x"], "expand ~nobody-here/x: there is no home fol")
            for words in (
                ["train", "--output"],
                ["train", "--resume"],
                ["evaluate"],
                ["predict"],
                ["table", "--from"],
                ["table", "--data", "nowhere", "--into"],
                ["table", "--data", "nowhere", "--figures"],
            )
        ),
        (["evaluate", "a\nb\x1b"], "there is no folder a b\\x1b"),
        (["predict", "x", "--a\nb\x1b"], "unrecognized arguments: --a b\\x1b"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(
    arguments, message, capsys, tmp_path, monkeypatch
):
    (tmp_path / "tests" / "x.unfinished").mkdir(parents=True)
    (tmp_path / "tests" / "x.unfinished" / "run.json").write_text('{"config": {}}')
    (tmp_path / "tests" / "f").write_text("")
    monkeypatch.chdir(tmp_path)
    answer = call_main(capsys, *arguments, status=2)
    assert answer.out == ""
    assert re.fullmatch(r"diffattn.*: error: .*\n", answer.err)
    assert message in answer.err
    assert [p.name for p in tmp_path.iterdir()] == ["tests"]


@pytest.fixture(scope="module")
def broken(run, tmp_path_factory):
    """A finished run and an unfinished one, each with a truncated file."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(run.path, folder / "run")
    truncate(folder / "run" / "model.keras")
    unfinished = folder / "run.unfinished"
    unfinished.mkdir()
    document = {"config": run.document()["config"]}
    (unfinished / "run.json").write_text(json.dumps(document))
    callback = keras.callbacks.LambdaCallback(on_epoch_end=interrupt)
    data = tokenize(run.config)
    with pytest.raises(KeyboardInterrupt):
        fit_and_evaluate(run.config, data, unfinished, callbacks=[callback], verbose=0)
    truncate(unfinished / "checkpoint-000001" / "variables.npz")
    return folder


def interrupt(epoch, logs):
    raise KeyboardInterrupt


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "run", "text"], "model.keras cannot be loaded: "),
        (["evaluate", "run"], "model.keras cannot be loaded: "),
        (["train", "--resume", "run.unfinished"], "checkpoint-000001 is damaged: "),
        (["table", "--from", "run.unfinished"], "is not a result: it has no 'metrics'"),
    ],
)
def test_damage_is_reported_in_one_line_and_nothing_is_changed(
    arguments, message, broken, capsys, monkeypatch
):
    monkeypatch.chdir(broken)
    before = {path: path.stat().st_size for path in broken.rglob("*")}
    answer = call_main(capsys, *arguments, status=2)
    assert re.fullmatch(r"diffattn: error: .*\n", answer.err)
    assert message in answer.err
    assert {path: path.stat().st_size for path in broken.rglob("*")} == before


def test_texts_that_are_not_utf_8_are_refused(run):
    """Only a process of its own gets the bytes as a user's process does."""
    command = [sys.executable, "-X", "utf8", "-m", "diffattn", "predict", run.path]
    for texts, lines in (([], b"good\n\xff\n"), ([b"\xff"], b"")):
        answer = subprocess.run(
            [*command, *texts], input=lines, capture_output=True, check=False
        )
        assert answer.returncode == 2
        assert answer.stdout == b""
        assert re.fullmatch(rb"diffattn: error: .* be UTF-8: .*\n", answer.stderr)


@pytest.mark.skipif(os.name != "posix", reason="makes a POSIX pipe")
def test_a_strangers_run_does_not_wait_for_its_data(run, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    shutil.copytree(run.path, tmp_path / "run")
    document = run.document()
    document["config"]["data"] = str(tmp_path / "pipe")
    (tmp_path / "run" / "run.json").write_text(json.dumps(document))
    answer = call_main(capsys, "evaluate", tmp_path / "run", status=2)
    assert "pipe, are neither a folder nor a file" in answer.err


def test_data_of_another_task_are_refused(run, capsys):
    answer = call_main(capsys, "evaluate", run.path, "--data", "recall", status=2)
    assert answer.err.endswith(
        "recall does not fit the run: its task is recall, the run's sentiment\n"
    )


def test_data_that_need_too_much_memory_are_named(run, tmp_path, capsys):
    """The tokens of each review alone would take a gigabyte."""
    shutil.copytree(run.path, tmp_path / "run")
    document = run.document()
    document["config"] |= {"data": "order", "sequence_length": 2**31 - 2}
    (tmp_path / "run" / "run.json").write_text(json.dumps(document))
    answer = call_main(capsys, "evaluate", tmp_path / "run", status=2)
    assert "evaluating needs more memory than this machine has" in answer.err


def test_types_are_split_at_the_commas_outside_brackets():
    both = "differentialSum(coefficient=1.0, lag=(1, 2)),none"
    options = _parser().parse_args(["table", "--attention-types", both])
    assert options.attention_types == [
        "differentialSum(coefficient=1.0, lag=(1, 2))",
        "none",
    ]


def test_a_module_that_fails_is_named(tmp_path, capsys, monkeypatch):
    (tmp_path / "fails_at_once.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    answer = call_main(
        capsys, "train", "--import", "fails_at_once", "--data", "nowhere", status=2
    )
    assert "--import fails_at_once: ZeroDivisionError: division by zero" in answer.err


def test_data_that_do_not_fit_the_run_are_refused(tmp_path, capsys):
    short = train(
        output=tmp_path, verbose=0, attention_type="none", epochs=1, sequence_length=1
    )
    answer = call_main(capsys, "evaluate", short.path, "--data", "order", status=2)
    assert "order does not fit the run: sequence_length must be" in answer.err


@pytest.mark.parametrize("scale", ["-1e-5", "-1.E-5", "-.00001"])
def test_a_negative_scale_is_a_number_not_an_option(scale):
    options = _parser().parse_args(["train", "--scale", scale, "--no-mask-padding"])
    assert options.scale == -1e-5
    assert options.mask_padding is False


def test_only_the_error_is_printed(tmp_path):
    """TensorFlow's notes on the machine stay off the screen."""
    answer = diffattn("predict", "nowhere", "text", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr == "diffattn: error: there is no folder nowhere\n"


def test_another_backend_is_refused_in_one_line(tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    answer = diffattn("train", "--output", tmp_path, env=environment)
    assert answer.returncode == 2
    assert re.fullmatch(
        r"diffattn: error: .* TensorFlow .* KERAS_BACKEND=jax\. .*\n", answer.stderr
    )
    assert list(tmp_path.iterdir()) == []


def test_settings_that_exceed_the_memory_are_named(tmp_path):
    """The embeddings alone would take terabytes."""
    answer = diffattn("train", "--embedding-dim", str(2 * 10**9), "--output", tmp_path)
    assert answer.returncode == 2
    assert re.fullmatch("diffattn: error: .* more memory .*\n", answer.stderr)


def test_train_prints_the_numbers_and_saves_the_run(tmp_path, capsys):
    flags = ["--attention-type", "none", "--epochs", "1", "--no-early-stopping"]
    answer = call_main(capsys, "train", *flags, "--output", tmp_path)
    (folder,) = tmp_path.iterdir()
    assert f"saved as            {folder}\n" in answer.out
    assert re.search(r"test loss           0\.\d{4}\n", answer.out)
    assert re.search(r"test accuracy       0\.\d{4}\n", answer.out)
    assert "val_accuracy" in answer.out


def test_evaluate_prints_loss_and_accuracy(run, capsys):
    answer = call_main(capsys, "evaluate", run.path)
    loss, accuracy = run.metrics["test_loss"], run.metrics["test_accuracy"]
    assert (
        answer.out
        == f"loss                {loss:.4f}\naccuracy            {accuracy:.4f}\n"
    )
    assert call_main(capsys, "evaluate", run.path, "--data", "sample").out == answer.out


def test_predict_takes_texts_or_lines(run, capsys, monkeypatch):
    texts = ["The plot was good.", "The plot was dull."]
    answer = call_main(capsys, "predict", run.path, *texts).out
    probabilities = [float(line.split("\t")[0]) for line in answer.splitlines()]
    assert probabilities[0] > 0.5 > probabilities[1]
    assert [line.split("\t")[1] for line in answer.splitlines()] == texts
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(texts) + "\n"))
    assert call_main(capsys, "predict", run.path).out == answer


def test_table_trains_and_reads(tmp_path, capsys):
    folder = tmp_path / "small"
    options = ["--attention-types", "none,scaled_dot_product", "--seeds", "2"]
    options += ["--epochs", "1", "--into", folder]
    answer = call_main(capsys, "table", *options)
    assert re.search(r"^none +0\.\d{4} ± 0\.\d{4} ", answer.out, re.MULTILINE)
    assert "against scaled_dot_product: none: " in answer.out
    assert len(list(folder.iterdir())) == 4
    figures = ["--figures", tmp_path / "figures"]
    assert call_main(capsys, "table", "--from", folder, *figures).out == answer.out
    assert (tmp_path / "figures" / "small.png").exists()
    markdown = call_main(capsys, "table", "--from", folder, "--format", "markdown").out
    assert "| none " in markdown
    table = call_main(capsys, "table", "--from", folder, "--format", "csv").out
    assert table.startswith("grid,attention,metric,mean,")


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_ctrl_c_leaves_a_run_that_can_be_resumed(tmp_path):
    runs = tmp_path / "my runs"
    command = [sys.executable, "-u", "-m", "diffattn", "train", "--output", runs]
    flags = ["--attention-type", "none", "--epochs", "3", "--patience", "3"]
    process = subprocess.Popen(
        [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("Epoch 2/3"):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    (hint,) = re.findall(r"to resume: diffattn (train --resume .*)\n", out)
    answer = diffattn(*shlex.split(hint))
    assert answer.returncode == 0, answer.stderr
    assert "Epoch 1/3" not in answer.stdout
    assert re.search(r"^epochs +3$", answer.stdout, re.MULTILINE)


def run_with_encoding(encoding, *arguments, text=None):
    """Run the command with streams of an encoding, and return its output as bytes."""
    answer = subprocess.run(
        [sys.executable, "-m", "diffattn", *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        input=text,
    )
    assert b"Traceback" not in answer.stderr
    assert b"Exception" not in answer.stderr
    return answer


@pytest.mark.parametrize("encoding", weekly_but(["ascii", "cp1252"], "cp1252"))
@pytest.mark.parametrize(
    "command",
    [
        ["table", "--from"],
        ["table", "--format", "markdown", "--from"],
        ["table", "--help"],
        ["train", "--help"],
    ],
)
def test_characters_outside_the_encoding_are_replaced(encoding, command, tmp_path):
    if command[-1] == "--from":
        folder = tmp_path / "√"
        shutil.copytree(SMALL_TABLE, folder)
        command = [*command, folder]
    expected = run_with_encoding("utf-8", *command).stdout.decode()
    answer = run_with_encoding(encoding, *command)
    assert answer.returncode == 0
    assert answer.stdout == expected.encode(encoding, "replace")
    if "--from" in command:
        assert "√" in expected
        assert ("±" in answer.stdout.decode(encoding)) == (encoding == "cp1252")


def test_a_csv_file_is_utf_8_everywhere(tmp_path):
    folder = tmp_path / "données √"
    shutil.copytree(SMALL_TABLE, folder)
    command = ["table", "--from", folder, "--format", "csv"]
    expected = run_with_encoding("utf-8", *command).stdout
    assert "\r\ndonnées √,none,test_accuracy,0.8".encode() in expected
    for encoding in ("ascii", "cp1252", "utf-16"):
        assert run_with_encoding(encoding, *command).stdout == expected


def test_errors_are_printed_in_any_encoding():
    for encoding, name in (("ascii", "na\\xefve-\\u221a"), ("cp1252", "naïve-\\u221a")):
        answer = run_with_encoding(encoding, "table", "--from", "naïve-√")
        assert answer.returncode == 2
        line = f"diffattn: error: there is no folder {name}\n"
        assert answer.stderr == line.encode(encoding)


BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("encoding", "before", "newline"),
    weekly_unless(
        lambda encoding, *_: encoding == "cp1252",
        [
            ("utf-8", BYTE_ORDER_MARK, b"\r\n"),
            ("ascii", b"", b"\n"),
            ("cp1252", b"", b"\n"),
        ],
    ),
)
def test_texts_are_read_and_echoed_in_any_encoding(encoding, before, newline, run):
    texts = ["The naïve plot was dull.", "The plot was good √"]
    answers = zip(run.predict(texts), texts, strict=True)
    expected = [f"{probability:.4f}\t{text}" for probability, text in answers]
    text = before + newline.join(text.encode() for text in texts)
    answer = run_with_encoding(encoding, "predict", run.path, text=text)
    assert answer.returncode == 0
    assert answer.stdout.decode(encoding).splitlines() == [
        line.encode(encoding, "replace").decode(encoding) for line in expected
    ]


@pytest.mark.weekly
def test_an_argument_is_utf_8_in_an_ascii_locale(run):
    """Python decodes it by the locale, before this package runs."""
    answers = {
        diffattn(
            "predict", run.path, "The naïve plot", env={**os.environ, **variables}
        ).stdout.split("\t")[0]
        for variables in ({"PYTHONUTF8": "1"}, ASCII)
    }
    assert len(answers) == 1
    assert re.fullmatch(r"0\.\d{4}", answers.pop())


def test_a_text_with_control_characters_is_printed_in_one_line(run, capsys):
    signs = "\n\r\t\v\f\x00\x1b\x1c\x85\x9b\u2028\u2029"
    answer = call_main(capsys, "predict", run.path, f"a{signs}b", "naïve √ \\").out
    first, second = answer.splitlines()
    escapes = r"\n\r\t\x0b\x0c\x00\x1b\x1c\x85\x9b\u2028\u2029"
    assert first.split("\t")[1:] == [f"a{escapes}b"]
    assert second.split("\t")[1:] == ["naïve √ \\"]


@pytest.mark.skipif(os.name != "posix", reason="closes a POSIX pipe")
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [(["--help"], ""), (["table", "--from", SMALL_TABLE], ""), (["predict"], "1")],
)
def test_a_closed_pipe_causes_no_traceback(command, unbuffered, run):
    words = [*command, run.path, "good"] if command == ["predict"] else command
    process = subprocess.Popen(
        [sys.executable, "-m", "diffattn", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    with process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [["--help"], ["table", "--from", SMALL_TABLE]])
def test_a_full_disk_is_reported(command):
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "diffattn", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )
    assert answer.returncode == 2
    assert re.fullmatch(r"diffattn: error: .*No space left.*\n", answer.stderr)


@pytest.mark.skipif(os.name != "posix", reason="closes streams in a POSIX shell")
@pytest.mark.parametrize(
    ("command", "lines"),
    weekly_unless(
        lambda command, _: "RUN" not in command or "good" in command,
        [
            ("predict RUN <&-", 0),
            ("predict RUN good <&- >&- 2>&-", 0),
            ("table --from results/published/split-0.5 >&-", 0),
            ("table --from results/published/split-0.5 2>&-", 7),
            ("--version 2>&-", 1),
        ],
    ),
)
def test_a_closed_stream_is_not_an_error(command, lines, run):
    words = command.replace("RUN", shlex.quote(str(run.path)))
    answer = subprocess.run(
        ["sh", "-c", f"{shlex.quote(sys.executable)} -m diffattn {words}"],
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert len(answer.stdout.splitlines()) == lines


def test_a_tilde_in_any_option_is_the_home_folder(tmp_path, capsys, monkeypatch):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    flags = ["--attention-type", "none", "--epochs", "1"]
    call_main(capsys, "train", *flags, "--output=~/runs")
    (run,) = (home / "runs").iterdir()
    path = f"~/runs/{run.name}"
    assert call_main(capsys, "predict", path, "good").out
    assert call_main(capsys, "evaluate", path).out
    assert load_run(path).path == run
    grid = ["--attention-types", "none", "--seeds", "1", "--epochs", "1"]
    call_main(capsys, "table", *grid, "--into=~/table", "--figures=~/figures")
    assert (home / "figures" / "table.png").exists()
    assert call_main(capsys, "table", "--from=~/table").out
    unfinished = home / "runs" / "a.unfinished"
    unfinished.mkdir()
    document = {"config": load_run(path).document()["config"]}
    (unfinished / "run.json").write_text(json.dumps(document))
    call_main(capsys, "train", "--resume=~/runs/a.unfinished")
    assert (home / "runs" / "a" / "model.keras").exists()
    assert list(work.iterdir()) == []


def test_a_figure_that_cannot_be_drawn_does_not_fail_the_run(run, tmp_path):
    """A folder has taken its name."""
    folder = tmp_path / "a.unfinished"
    (folder / "learning_curves.png").mkdir(parents=True)
    document = {"config": run.document()["config"]}
    (folder / "run.json").write_text(json.dumps(document))
    answer = diffattn("train", "--resume", folder)
    assert answer.returncode == 0, answer.stderr
    assert load_run(tmp_path / "a").metrics == run.metrics
    (line,) = [line for line in answer.stderr.splitlines() if "learning_cur" in line]
    start = "diffattn: warning: learning_curves.png could not be drawn: IsADirectory"
    assert line.startswith(start)


def test_the_command_restores_how_warnings_are_shown(capsys):
    before = warnings.showwarning
    call_main(capsys, "--version", status=0)
    assert warnings.showwarning is before
