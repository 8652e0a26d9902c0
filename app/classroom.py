"""What a teacher needs: the seed, hidden answers, links that fix both, a code to photograph, and the page to print."""

import ipaddress
import urllib.parse

import segno
import streamlit as st

from app import link
from app.state import lessons as scenes
from duo_core.teaching.steps import ON_PAPER

ANSWERS = {"shown": "After a guess", "hidden": "Hidden"}
ALONE = (
    "This address works on this machine only. For a class, start `duo app --host ADDRESS` with this machine's address in your "
    "network, and open the page at that address: the link then works for everybody and comes with a QR code."
)
EVERY = {"", "0.0.0.0", "::"}


def popover() -> None:
    """Draw all of it behind a button."""
    seed, answers = st.session_state["seed"], st.session_state["answers"] == "shown"
    with st.popover("For a class"):
        st.number_input("Seed of the made-up experts", scenes.SEEDS[0], scenes.SEEDS[-1], key="seed", on_change=link.touched)
        st.segmented_control(
            "Answers",
            list(ANSWERS),
            key="answers",
            format_func=lambda key: ANSWERS[key],
            required=True,
            on_change=link.touched,
        )
        _links()
        st.download_button(
            "Handout to print (HTML)",
            lambda: scenes.handout_of(ON_PAPER[-1], seed, answers=answers),
            file_name="asymmetric-duos-handout.html",
            mime="text/html",
            on_click="ignore",
            key="handout",
        )
        st.caption("The same story in Python: `docs/learn.ipynb`.")


def _links() -> None:
    page = reachable(st.context.url or "", st.get_option("server.address") or "")
    st.markdown("Classroom link: this step, for everyone with the same data.")
    own = classroom_link(page, embed=False)
    st.code(own, language=None, wrap_lines=True)
    if is_loopback(page):
        st.caption(ALONE)
    else:
        st.image(segno.make(own, error="m").svg_inline(scale=4, svgns=True, light="white"), width=180, alt="QR code of this link")
    st.markdown("Link for slides: this step alone, in larger type.")
    st.code(classroom_link(page, embed=True), language=None, wrap_lines=True)


def classroom_link(page: str, *, embed: bool) -> str:
    """The address that opens this step with this data, whatever the defaults are."""
    fixed = {key: str(st.session_state[key]) for key in ("step", "data", "seed", "answers")}
    return f"{page}?{urllib.parse.urlencode(fixed | ({'embed': 'true'} if embed else {}))}"


def is_loopback(page: str) -> bool:
    """Whether an address leads to the machine that it is typed on.

    >>> is_loopback("http://127.0.0.1:8501/learn"), is_loopback("http://localhost:8501"), is_loopback("https://duo.example/learn")
    (True, True, False)
    """
    host = urllib.parse.urlsplit(page).hostname or "localhost"
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def reachable(page: str, listens: str) -> str:
    """The page's address as other machines reach it, given the one that the server listens on; empty or all zeros for every one.

    Which of a machine's addresses lead to it is not asked of the network: where it listens to all, the page's own stays.

    >>> reachable("http://localhost:8501/learn", "192.0.2.7"), reachable("https://duo.example/learn", "0.0.0.0")
    ('http://192.0.2.7:8501/learn', 'https://duo.example/learn')
    """
    if not is_loopback(page) or listens in EVERY:
        return page
    parts, host = urllib.parse.urlsplit(page), listens
    return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()
