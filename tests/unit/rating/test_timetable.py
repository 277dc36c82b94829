"""
Timetables say which rate is in force, on the wall clock of the tariff's zone.
"""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rating.calendars import parse_calendars
from rating.coverage import find_flaws
from rating.findings import Findings
from rating.timetable import DAYS_CACHED_MAX, Slot, Timetable
from tests.unit.rating.hand_tariffs import at_us

BERLIN = ZoneInfo("Europe/Berlin")
DAY_US = 86_400 * 1_000_000


def calendar(**table):
    findings = Findings()
    made = parse_calendars([{"name": "c", **table}], "t", findings)
    assert not findings
    return made["c"]


def changes(table, begin, end, zone=BERLIN):
    timetable = Timetable(zone, (Slot(None), Slot(calendar(**table))))
    return [datetime.fromtimestamp(us / 1e6, UTC).strftime("%m-%d %H:%M") for us in timetable.changes(begin, end)]


def test_changes_follow_the_wall_clock_over_a_spring_night():
    """08:00 in Berlin is 07:00 UTC before and 06:00 UTC after the last Sunday of March."""
    begin = at_us("2026-03-28 00:00")

    assert changes({"from": "08:00", "until": "18:00"}, begin, begin + 2 * DAY_US) == [
        "03-28 07:00",
        "03-28 17:00",
        "03-29 06:00",
        "03-29 16:00",
    ]


def test_a_skipped_hour_never_comes():
    """02:00 to 03:00 does not exist on that night, and what begins inside it begins when it is over."""
    begin, end = at_us("2026-03-29 00:00"), at_us("2026-03-29 12:00")

    assert changes({"from": "02:00", "until": "03:00"}, begin, end) == []
    assert changes({"from": "02:30", "until": "04:00"}, begin, end) == ["03-29 01:00", "03-29 02:00"]


def test_a_repeated_hour_comes_twice():
    """02:00 to 02:30 is shown twice by the clock in October."""
    begin, end = at_us("2026-10-25 00:00"), at_us("2026-10-25 12:00")

    assert changes({"from": "02:00", "until": "02:30"}, begin, end) == [
        "10-25 00:00",
        "10-25 00:30",
        "10-25 01:00",
        "10-25 01:30",
    ]


def test_seconds_count():
    """Times of day may have seconds."""
    timetable = Timetable(BERLIN, (Slot(None), Slot(calendar(**{"from": "08:00:30"}))))

    assert timetable.at(at_us("2026-11-23 08:00:29.999999"))[0] == 0
    assert timetable.at(at_us("2026-11-23 08:00:30"))[0] == 1


def test_the_heaviest_calendar_wins():
    """Where several apply, the weight decides, not the order."""
    slots = (Slot(calendar(weight=3)), Slot(calendar(weight=9, **{"from": "12:00"})), Slot(None))
    timetable = Timetable(BERLIN, slots)

    assert [timetable.at(at_us(f"2026-11-23 {hour}:00"))[0] for hour in ("11", "13")] == [0, 1]


def test_an_answer_holds_until_the_next_change_or_midnight_utc():
    """The second figure bounds how long the first may be used."""
    timetable = Timetable(BERLIN, (Slot(None), Slot(calendar(**{"from": "08:00", "until": "18:00"}))))

    assert timetable.at(at_us("2026-11-23 09:00")) == (1, at_us("2026-11-23 18:00"))
    assert timetable.at(at_us("2026-11-23 19:00")) == (0, at_us("2026-11-24T00:00+00:00"))


def test_days_known_are_bounded():
    """A timetable forgets days rather than grow for ever."""
    timetable = Timetable(BERLIN, (Slot(None), Slot(calendar(weekdays=["mon"]))))
    for day in range(DAYS_CACHED_MAX + 10):
        timetable.at(day * DAY_US)

    assert len(timetable._days) <= DAYS_CACHED_MAX


@pytest.mark.parametrize(
    ("table", "day", "expected"),
    [
        ({"weekdays": ["mon"]}, "2026-11-23", True),
        ({"weekdays": ["mon"]}, "2026-11-24", False),
        ({"months": ["dec", 1]}, "2026-12-05", True),
        ({"months": ["dec", 1]}, "2026-11-05", False),
        ({"days": [31]}, "2026-12-31", True),
        ({"dates": ["12-25"]}, "2031-12-25", True),
        ({"dates": ["2026-12-25"]}, "2031-12-25", False),
        ({"except_dates": ["12-25"]}, "2026-12-25", False),
        ({"weekdays": ["fri"], "except_dates": ["2026-12-25"]}, "2026-12-18", True),
        ({"dates": ["02-29"]}, "2028-02-29", True),
    ],
)
def test_every_condition_must_hold(table, day, expected):
    """Weekdays, months, days, dates and exceptions narrow a calendar down."""
    assert calendar(**table).applies(datetime.fromisoformat(f"{day}T12:00")) is expected


def test_a_night_belongs_to_the_day_it_began_on():
    """22:00 to 06:00 on Mondays ends on Tuesday morning."""
    night = calendar(weekdays=["mon"], **{"from": "22:00", "until": "06:00"})
    shown = ("2026-11-23T05:59", "2026-11-23T22:00", "2026-11-24T05:59", "2026-11-24T06:00", "2026-11-24T22:00")

    assert [night.applies(datetime.fromisoformat(when)) for when in shown] == [False, True, True, False, False]


def flaws(*slots):
    return [(flaw.slots, f"{flaw.at:%m-%d %H:%M}") for flaw in find_flaws(slots, BERLIN)]


def test_hours_that_meet_leave_no_gap():
    """Half-open intervals that touch cover the day and do not overlap."""
    assert flaws(Slot(calendar(until="08:00")), Slot(calendar(**{"from": "08:00"}))) == []


def test_a_minute_left_out_is_a_gap():
    """From 08:01 leaves a minute without a rate."""
    assert flaws(Slot(calendar(until="08:00")), Slot(calendar(**{"from": "08:01"}))) == [((), "01-02 08:00")]


def test_a_night_and_its_day_cover_all_but_the_exceptions():
    """A date excluded from both is a gap on that date."""
    night = Slot(calendar(except_dates=["12-24"], **{"from": "22:00", "until": "06:00"}))
    day = Slot(calendar(**{"from": "06:00", "until": "22:00"}))

    assert flaws(night, day) == [((), "12-25 00:00")]


def test_weights_settle_overlaps():
    """Equal weights that meet are an overlap, different ones are not."""
    noon = {"from": "12:00", "until": "13:00"}

    assert flaws(Slot(None), Slot(calendar(weight=2)), Slot(calendar(weight=3, **noon))) == []
    assert flaws(Slot(None), Slot(calendar(weight=2)), Slot(calendar(weight=2, **noon))) == [((1, 2), "01-02 12:00")]


def test_days_that_never_meet_do_not_overlap():
    """The 30th of February is no day on which two calendars could meet."""
    february, thirtieth = calendar(months=[2]), calendar(days=[30])

    assert flaws(Slot(None), Slot(february), Slot(thirtieth)) == []


def test_effective_dates_part_rates():
    """Rates of equal weight may follow each other in time."""
    edge = at_us("2027-01-01 00:00")

    assert flaws(Slot(None, None, edge), Slot(None, edge, None)) == []
    assert flaws(Slot(None, None, edge + 1), Slot(None, edge, None)) == [((0, 1), "01-01 00:00")]
    assert flaws(Slot(None, None, edge - DAY_US), Slot(None, edge, None)) == []


def test_a_calendar_writes_itself_as_it_was_read():
    """Canonical tables are read back identically."""
    made = calendar(
        weekdays=["sun", "mon"], months=[12], days=[1, 2], dates=["12-01", "2027-01-01"], weight=7, until="06:30:15"
    )
    findings = Findings()

    assert parse_calendars([made.to_table()], "t", findings) == {"c": made}
    assert made.to_table()["weekdays"] == ["mon", "sun"]
    assert made == replace(made, name="c") and made != replace(made, name="d")
