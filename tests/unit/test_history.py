from hypothesis import given
from hypothesis import strategies as st

from app.domain.history import NO_HASH, Break, Fault, Link, link_hash, verify


def chain(*texts: str) -> list[Link]:
    links, previous = [], NO_HASH
    for position, text in enumerate(texts, 1):
        previous = link_hash(previous, text)
        links.append(Link(position, f"event {100 + position}", previous, text))
    return links


def test_an_untouched_chain_is_intact_and_ends_at_its_head() -> None:
    links = chain("a", "b", "c")
    found = verify(links)
    assert (found.n_links, found.faults, found.head) == (3, (), links[-1].hash.hex())


def test_no_event_is_an_intact_chain() -> None:
    assert verify([]).head == ""


def test_an_edit_is_told_once_and_where() -> None:
    links = chain("a", "b", "c")
    links[1] = Link(2, "event 102", links[1].hash, "B")
    assert verify(links).faults == (Fault(2, "event 102", Break.EDITED),)


def test_an_event_that_is_gone_and_links_that_are_gone_are_told_apart() -> None:
    links = chain("a", "b", "c", "d")
    gone = Link(2, "event 102", links[1].hash, None)
    assert verify([links[0], gone, *links[2:]]).faults == (Fault(2, "event 102", Break.REMOVED),)
    assert verify([links[0], *links[2:]]).faults == (Fault(3, "event 103", Break.GAP),)


def test_a_chain_that_was_written_anew_lacks_the_head_that_was_written_down() -> None:
    head = verify(chain("a", "b")).head
    assert verify(chain("a", "b", "c"), expected_head=head).holds_expected_head
    assert not verify(chain("a", "x", "c"), expected_head=head).holds_expected_head
    assert not verify(chain("a"), expected_head=head).holds_expected_head


@given(st.lists(st.text(max_size=5), min_size=2, max_size=8, unique=True), st.data())
def test_any_swap_is_found(texts: list[str], data: st.DataObject) -> None:
    first, second = sorted(data.draw(st.permutations(range(len(texts))))[:2])
    links = chain(*texts)
    one, other = links[first], links[second]
    links[first] = Link(one.position, other.subject, one.hash, other.text)
    links[second] = Link(other.position, one.subject, other.hash, one.text)
    assert verify(links).faults
