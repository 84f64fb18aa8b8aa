from diffattn.studies.models import label


def test_a_model_has_the_name_that_its_runs_have():
    assert label("rotary") == "rotary"
    causal = {"attention_type": "scaled_dot_product", "causal": True}
    assert label(causal) == "scaled_dot_product + causal"
