"""Loading ahead: the modules that a model function names are imported, and one that is not there harms nobody."""

import sys

from ninetyfive.models.ahead import imports_of, load_ahead


def test_a_model_function_tells_what_it_imports():
    def model(x, y, params):
        import json.scanner

        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(**params).fit(x, json.scanner and y)

    assert imports_of(model) == ("json.scanner", "sklearn.linear_model")
    assert imports_of(object()) == ()


def test_a_module_that_is_not_there_is_left_to_its_user():
    def model(x, y, params):
        import no_such_module_anywhere

        return no_such_module_anywhere

    load_ahead(model).join()
    assert "no_such_module_anywhere" not in sys.modules
    assert "skops.io" in sys.modules
