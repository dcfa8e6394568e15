from coexec.compiler.errors import did_you_mean, some_of


def test_a_cut_list_says_that_it_is_cut() -> None:
    layers = ["stem", *(f"body/conv{i}" for i in range(9))]
    assert some_of(layers[:2]) == "body/conv0, stem"
    assert some_of(layers, "stam") == "stem and 9 more"
    assert some_of(layers, "?") == "body/conv0, body/conv1, body/conv2 and 7 more"
    assert some_of([]) == ""


def test_a_misspelt_name_is_told_the_nearest() -> None:
    assert did_you_mean("scen_count", ["scene_count", "mlp"]) == "; did you mean 'scene_count'?"
    assert did_you_mean("x", ["mlp"]) == ""
