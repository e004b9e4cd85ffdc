"""Who has used little comes first; addresses count between those that wait at once; time and size of it are bounded."""

import pytest

from xent_ui.server.processor_use import FairRules, Usage, Visit

RULES = FairRules(half_life=2.0, light=0.0, address_seconds=0.5, remembered=100)


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
    used, light, fresh, heavy = Usage(FairRules(light=0.25), CLOCK), visit("light"), visit("fresh"), visit("heavy")
    used.add(light, 0.2)
    used.add(heavy, 1.0)

    assert used.standings([light, fresh, heavy]) == {light: 0.0, fresh: 0.0, heavy: pytest.approx(0.75)}
