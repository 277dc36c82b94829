from aaa.store.names import NameFilter


def test_a_name_that_was_added_is_always_found() -> None:
    names = NameFilter()
    for number in range(20_000):
        names.add(f"nas|host|0|s:{number:08x}")
    assert all(names.may_hold((f"nas|host|0|s:{number:08x}",)) for number in range(20_000))


def test_hardly_a_name_is_found_that_was_not_added() -> None:
    names = NameFilter()
    for number in range(20_000):
        names.add(f"nas|host|0|s:{number:08x}")
    false = sum(names.may_hold((f"other|host|0|s:{number:08x}",)) for number in range(20_000))
    assert false < 20


def test_one_known_name_of_several_is_enough() -> None:
    names = NameFilter()
    names.add("b")
    assert names.may_hold(("a", "b")) and not names.may_hold(("a", "c"))


def test_a_session_named_by_its_number_may_always_be_stored() -> None:
    assert NameFilter().may_hold(("#12",))
