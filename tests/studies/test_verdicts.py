from diffattn.studies.uncertainty import compare
from diffattn.studies.verdicts import conclude


def seeds(*values):
    return dict(enumerate(values))


def test_models_with_one_verdict_share_their_clause():
    reference = seeds(0.5, 0.6, 0.7)
    values = {
        "higher": seeds(0.75, 0.85, 0.95),
        "equal": seeds(0.5, 0.6, 0.7),
        "the same": seeds(0.5, 0.6, 0.7),
        "unsure": seeds(0.9, 0.6, 0.3),
    }
    compared = {
        label: compare(of_label, reference, margin=0.01)
        for label, of_label in values.items()
    }
    assert conclude("test_accuracy", compared) == (
        "Test accuracy, against scaled_dot_product: higher: differs by +0.2500; "
        "equal, the same: within ±0.0000; unsure: too few seeds."
    )
