"""Who has used little comes first; addresses count between those that wait at once; time and size of it are bounded."""

import pytest

from xent_ui.server.processor_use import FairRules, Usage, Visit

RULES = FairRules(half_life=2.0, light=0.0, address_seconds=0.5, unknown_run=0.0, remembered=100)


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


def usage() -> Usage:
    CLOCK.now = 0.0
    return Usage(RULES, CLOCK)


def visit(name: str, address: str = "a") -> Visit:
    return Visit(address, name)


def test_what_was_used_counts_half_after_the_half_life() -> None:
    used = usage()
    used.add(visit("1"), 1.0)
    used.add(visit("2"), 0.5)
    CLOCK.now = 2.0

    assert used.of(visit("1")) == pytest.approx(0.5)
    assert used.of("a") == pytest.approx(0.75)
    assert used.of(visit("3")) == 0


def test_of_what_others_of_its_address_used_no_more_than_so_much_sets_a_visit_back() -> None:
    used = usage()
    for name, seconds in (("a", 0.1), ("b", 0.3), ("c", 1.0), ("d", 2.0)):
        used.add(visit("another", name), seconds)

    standings = used.standings([visit("1", name) for name in "abcd"])

    assert {one.address: round(back, 6) for one, back in standings.items()} == {"a": 0, "b": 0.2, "c": 0.5, "d": 0.5}


def test_a_lump_of_an_hour_counts_as_no_more_than_a_processor_that_was_never_idle() -> None:
    used = usage()
    used.add(visit("1"), 3600.0)

    assert used.of(visit("1")) == pytest.approx(2.885, abs=1e-3)
    CLOCK.now = 10.0
    assert used.of(visit("1")) < 0.1


def test_who_has_used_less_stands_before_who_has_used_more() -> None:
    used, light, heavy = usage(), visit("light"), visit("heavy")
    used.add(heavy, 1.0)
    used.add(light, 0.1)

    assert used.standings([heavy, light]) == pytest.approx({light: 0.1, heavy: 1.0})


def test_many_visits_of_one_address_stand_behind_one_of_another() -> None:
    used, single, many = usage(), visit("single", "b"), [visit(str(number)) for number in range(50)]
    for one in many:
        used.add(one, 0.02)
    used.add(single, 0.4)  # twenty times what each of them used

    standings = used.standings([single, *many])
    assert all(standings[single] < standings[one] for one in many)


def test_the_address_counts_only_while_another_one_waits() -> None:
    used, pupils = usage(), [visit(str(number)) for number in range(50)]
    for pupil in pupils:
        used.add(pupil, 0.02)

    assert set(used.standings(pupils).values()) == {0.02}


def test_a_class_behind_one_address_stands_before_a_visit_that_takes_all_it_can_get() -> None:
    used, greedy, pupils = usage(), visit("greedy", "b"), [visit(str(number)) for number in range(60)]
    for pupil in pupils:
        used.add(pupil, 0.03)
    used.add(greedy, 1.0)

    standings = used.standings([greedy, *pupils])
    assert all(standings[pupil] < standings[greedy] for pupil in pupils)


def test_what_is_remembered_is_bounded_and_the_heaviest_are_not_forgotten() -> None:
    used = usage()
    used.add(visit("heavy"), 2.0)
    for number in range(1_000):
        used.add(visit(str(number), f"address {number}"), 0.001)

    assert len(used._used) <= RULES.remembered
    assert used.of(visit("heavy")) == 2.0


def test_who_uses_little_stands_back_behind_nobody_who_has_just_come() -> None:
    used, light, fresh, heavy = (
        Usage(FairRules(light=0.25, unknown_run=0.0), CLOCK),
        visit("light"),
        visit("fresh"),
        visit("heavy"),
    )
    used.add(light, 0.2)
    used.add(heavy, 1.0)

    assert used.standings([light, fresh, heavy]) == {light: 0.0, fresh: 0.0, heavy: pytest.approx(0.75)}


def test_who_runs_shortly_stands_before_whose_runs_are_long_though_both_have_used_the_same() -> None:
    rules = FairRules(short_run=0.15, unknown_run=0.4, run_half_life=10.0)
    used, edits, exports, fresh = Usage(rules, CLOCK), visit("edits"), visit("exports"), visit("fresh")
    used.end_run(edits, 0.1)
    used.end_run(exports, 1.15)
    used.end_run(exports, 0.05)  # one short run makes no short visit

    expected = {edits: 0.0, exports: pytest.approx(1.0), fresh: pytest.approx(0.25)}
    assert used.standings([edits, exports, fresh]) == expected


def test_a_long_run_is_forgotten_in_time() -> None:
    now = [0.0]
    used = Usage(FairRules(short_run=0.0, run_half_life=10.0), lambda: now[0])
    used.end_run(visit("one"), 0.8)
    now[0] = 20.0

    assert used.standings([visit("one")])[visit("one")] == pytest.approx(0.2)
