import keras
import numpy as np
import pytest

from diffattn.training.task import TASKS, get_task


@pytest.mark.parametrize(
    ("name", "logits", "labels", "right"),
    [
        ("sentiment", [[0.3], [-2.0], [1.0]], [1, 0, 0], [True, True, False]),
        ("recall", [[0.1, 3, 2], [5, 1, 1], [0, 0, 1]], [1, 0, 0], [True, True, False]),
    ],
)
def test_what_is_right_is_what_the_metric_counts(name, logits, labels, right):
    task, logits, labels = TASKS[name], np.array(logits, float), np.array(labels)
    assert task.find_right(logits, labels).tolist() == right
    metric = task.make_metric()
    metric.update_state(labels[:, None] if name == "sentiment" else labels, logits)
    assert float(metric.result()) == pytest.approx(np.mean(right))


def test_losses_are_those_of_logits():
    logits = np.array([[0.3], [-2.0]])
    loss = TASKS["sentiment"].make_loss()(np.array([[1.0], [0.0]]), logits)
    expected = np.mean([np.log1p(np.exp(-0.3)), np.log1p(np.exp(-2.0))])
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    logits = np.array([[1.0, 0.0, 2.0]])
    loss = TASKS["recall"].make_loss()(np.array([2]), logits)
    assert float(loss) == pytest.approx(np.log(np.exp(logits).sum()) - 2, rel=1e-6)


def test_outputs_are_counted():
    assert TASKS["sentiment"].count_outputs(np.array([0, 1])) == 1
    assert TASKS["recall"].count_outputs(np.array([2, 0, 1])) == 3
    with pytest.raises(ValueError, match="2 different labels from 0 to 2"):
        TASKS["recall"].count_outputs(np.array([0, 2]))


def test_answers_are_printed():
    assert TASKS["sentiment"].format_answer(np.float64(0.25)) == "0.2500"
    assert TASKS["recall"].format_answer(np.array([0.1, 0.7, 0.2])) == "v1"


@pytest.mark.parametrize("name", TASKS)
def test_each_pools_to_one_vector(name):
    pool = TASKS[name].pool()
    assert isinstance(pool, keras.layers.Layer)
    assert tuple(pool(np.ones((2, 5, 3))).shape) == (2, 3)


def test_an_unknown_task_is_named():
    with pytest.raises(ValueError, match=r"sentiment, recall\. Received: task='t'"):
        get_task("t")
