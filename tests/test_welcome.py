"""The first visit: what a duo is and three doors, gone once anything was used, never above a link with state."""

import pytest
from dashboard import PAIR, open_page, step, text_of

from app.welcome import SENTENCE


@pytest.fixture
def opened(monkeypatch, toy_store):
    monkeypatch.setenv("DUO_STORE", str(toy_store))
    return open_page


def test_the_first_visit_says_what_a_duo_is_and_has_three_doors(opened):
    app = opened()
    assert SENTENCE in text_of(app)
    doors = [element.proto.label for element in app.get("page_link")]
    assert [app.button(key="welcome_see").label, *doors[:2]] == [
        "See it on real models ↓",
        "Try it on your own logits →",
        "Learn it in ten minutes →",
    ]
    assert "duo" in app.title[0].value or "compute" in app.title[0].value  # the pair stands below all the same


@pytest.mark.parametrize("key", ["welcome_see", "swap"])
def test_it_goes_once_anything_was_used(opened, key):
    app = opened()
    app.button(key=key).click().run()
    assert SENTENCE not in text_of(app)
    assert SENTENCE not in text_of(app.run())


def test_it_goes_with_the_first_page(opened):
    app = opened()
    assert SENTENCE not in text_of(step(app, "zoo"))
    assert SENTENCE not in text_of(step(app, ""))


@pytest.mark.parametrize("query", [PAIR, {"set": "toy"}, {"coverage": "50"}])
def test_a_link_with_state_never_shows_it(opened, query):
    app = opened(**query)
    assert SENTENCE not in text_of(app)
    assert SENTENCE not in text_of(app.run())
