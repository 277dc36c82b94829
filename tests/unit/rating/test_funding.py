"""
Buckets pay first, in spending order; what is held and not used goes back to where it came from.
"""

from dataclasses import replace

import pytest

from rating import MONEY, Bucket, align, fund, grant, held_price, settle, truncate
from tests.unit.rating.hand_tariffs import PEAK, at_us, flat, plan, service

SECOND_US = 1_000_000
MINUTE = flat("0.10", "60/60")
NOON = at_us("2026-11-23 12:00")


def bucket(number, amount=60, **given):
    return Bucket(**{"id": number, "account_id": 1, "unit": "seconds", "amount": amount, **given})


def sources(buckets, cap=120, text=MINUTE, destination="442079"):
    funding = fund(plan(text), NOON, NOON, (), buckets, None, cap, destination)
    return [source for source, _ in funding.parts]


def test_priority_comes_first():
    """The greatest number is spent first, whatever the rest."""
    chosen = [bucket(1), bucket(2, priority=5, valid_until_us=NOON + 10**15), bucket(3, scope=("4420",))]

    assert sources(chosen, cap=180) == ["2", "3", "1"]


def test_narrower_scope_comes_before_wider():
    """Longer prefixes first, everywhere last, other destinations never."""
    chosen = [bucket(1), bucket(2, scope=("44",)), bucket(3, scope=("4", "4420")), bucket(4, scope=("49",))]

    assert sources(chosen, cap=180) == ["3", "2", "1"]


def test_a_bucket_for_the_service_is_narrower_than_one_for_any():
    """Service is a part of the scope; buckets of other services and units do not count."""
    chosen = [bucket(1), bucket(2, service="voice"), bucket(3, service="data"), bucket(4, unit="octets")]

    assert sources(chosen, cap=180) == ["2", "1", MONEY]


def test_soonest_expiry_then_oldest():
    """What is lost first is spent first; without expiry last; else the lower id."""
    chosen = [
        bucket(4),
        bucket(3),
        bucket(2, valid_until_us=NOON + 10**12),
        bucket(1, valid_until_us=NOON + 2 * 10**12),
    ]

    assert sources(chosen, cap=240) == ["2", "1", "3", "4"]


def test_scope_is_that_of_the_called_number():
    """Without the number the matched prefix counts, which never promises too much."""
    chosen = [bucket(1, scope=("44",))]
    catch_all = plan(MINUTE)

    assert fund(catch_all, NOON, NOON, (), chosen, None, 60, "4420").parts == (("1", 60),)
    assert fund(catch_all, NOON, NOON, (), chosen, None, 60).parts == ()


def test_two_calls_on_one_bundle():
    """S4: bucket of 10 min, money at 0.10; A takes 5 min, B 5; A refills 3 min of money; B ends after 1, A after 8."""
    found = plan(MINUTE)
    minutes = bucket(7, 600)
    a = fund(found, NOON, NOON, (), [minutes], 10**6, 300)
    minutes = replace(minutes, reserved=300)
    b = fund(found, NOON, NOON, (), [minutes], 10**6, 300)
    minutes = replace(minutes, reserved=600)
    a_refilled = fund(found, NOON, NOON, a.parts, [minutes], 10**6, 480)

    assert (a.parts, a.taken, a.held_micro) == ((("7", 300),), ((7, 300),), 0)
    assert b.parts == (("7", 300),)
    assert a_refilled == ((("7", 300), (MONEY, 180)), 480, 300_000, ())
    assert settle(found, NOON, b.parts, 60, [minutes]) == (0, (("7", 60),), ((7, 240),))
    assert settle(found, NOON, a_refilled.parts, 480, [minutes]) == (300_000, (("7", 300), (MONEY, 180)), ())


def test_a_call_crosses_from_bundle_to_money():
    """S16: a 90 s bundle, then 0.10 per 60/60; 200 s cost 0.20."""
    found = plan(MINUTE)
    funding = fund(found, NOON, NOON, (), [bucket(7, 90)], 200_000, 3_600)

    assert funding == ((("7", 90), (MONEY, 120)), 210, 200_000, ((7, 90),))
    assert settle(found, NOON, funding.parts, 200, [bucket(7, 90, reserved=90)]).amount_micro == 200_000


def test_usage_beyond_the_plan_extends_it_by_spending_order():
    """Seconds past the grant come from the bucket while it lasts, then from money."""
    found = plan(MINUTE)
    settlement = settle(found, NOON, (("7", 60),), 200, [bucket(7, 120, reserved=60)])

    assert settlement == (200_000, (("7", 120), (MONEY, 80)), ())


def test_money_alone_settles_as_money():
    """An empty plan is money without end, whatever buckets there are."""
    assert settle(plan(MINUTE), NOON, (), 61, [bucket(7)]) == (200_000, ((MONEY, 61),), ())
    assert settle(plan(MINUTE), NOON, (), 0, []) == (0, (), ())


def test_unused_and_forgiven_calls_return_everything():
    """No usage, or usage within grace, consumes no bucket."""
    found = plan(flat("0.10", "60/60", more="grace_s = 5"))
    parts = (("7", 60), ("8", 30), ("7", 10))

    assert settle(found, NOON, parts, 0) == (0, (), ((7, 70), (8, 30)))
    assert settle(found, NOON, parts, 4) == (0, (), ((7, 70), (8, 30)))
    assert settle(found, NOON, parts, 5).consumed == (("7", 5),)


def test_a_bundle_has_pulses_of_its_own():
    """60/30 on 160 units covers 150; 61 s of use consume 90."""
    found = plan(MINUTE)
    minutes = bucket(7, 160, pulse=(60, 30))
    funding = fund(found, NOON, NOON, (), [minutes], None, 3_600)

    assert funding.parts[0] == ("7", 150)
    assert settle(found, NOON, funding.parts, 61, [minutes]) == (0, (("7", 90),), ((7, 60),))
    assert truncate(funding.parts, 61, [minutes]) == (("7", 90),)
    assert truncate(funding.parts, 61) == (("7", 61),)


def test_a_begun_pulse_of_a_bundle_is_held_whole():
    """A cap inside a bucket's pulse limits the total, not what is held; a refill goes on from the pulse's end."""
    found = plan(MINUTE)
    minutes = bucket(7, 300, pulse=(60, 60))
    first = fund(found, NOON, NOON, (), [minutes], 0, 90)
    second = fund(found, NOON, NOON, first.parts, [replace(minutes, reserved=120)], 0, 130)

    assert (first.parts, first.total, first.taken) == ((("7", 120),), 90, ((7, 120),))
    assert (second.parts, second.total, second.taken) == ((("7", 180),), 130, ((7, 60),))


def test_a_refill_goes_on_with_the_bundles_next_pulse():
    """The initial pulse of 60/6 is held once, refills add 6 at a time."""
    minutes = bucket(7, 300, pulse=(60, 6))
    first = fund(plan(MINUTE), NOON, NOON, (), [minutes], 0, 30)
    second = fund(plan(MINUTE), NOON, NOON, first.parts, [replace(minutes, reserved=60)], 0, 61)

    assert first.parts == (("7", 60),)
    assert (second.parts, second.taken) == ((("7", 66),), ((7, 6),))


def test_what_is_free_or_blocked_uses_up_no_bundle():
    """A toll-free call leaves the bundle alone, a blocked one gets nothing."""
    free, blocked = plan(flat("0", "1/1")), plan('[[rate]]\nprefix = ""\nblocked = "yes"\n')

    assert fund(free, NOON, NOON, (), [bucket(7)], 0, 600) == ((), 600, 0, ())
    assert fund(blocked, NOON, NOON, (), [bucket(7)], 10**6, 600) == ((), 0, 0, ())


def test_a_bundle_too_small_for_its_pulse_is_passed_over():
    """59 units do not make a pulse of 60; 60 do."""
    assert sources([bucket(7, 59, pulse=(60, 60)), bucket(8, 60, pulse=(60, 60))]) == ["8", MONEY]


def test_a_bundle_that_expires_in_mid_call_covers_the_pulses_begun_before():
    """Expiry after 90 s: pulses of 60 at 0 and 60 count, the rest is money."""
    ending = bucket(7, 600, pulse=(60, 60), valid_until_us=NOON + 90 * SECOND_US)

    assert fund(plan(MINUTE), NOON, NOON, (), [ending], None, 300).parts == (("7", 120), (MONEY, 180))


def test_expired_and_future_bundles_do_not_count():
    """Validity is half-open: not at its end, and from its first instant on."""
    ended, begun = bucket(1, valid_until_us=NOON), bucket(2, valid_from_us=NOON)
    future = bucket(3, valid_from_us=NOON + 10**12)

    assert sources([ended, begun, future], cap=60) == ["2"]


def test_a_bundle_that_becomes_valid_in_mid_call_takes_over_at_the_next_pulse():
    """Valid after 90 s: the money pulse begun at 60 is paid to its end at 120."""
    coming = bucket(7, 600, valid_from_us=NOON + 90 * SECOND_US)

    assert fund(plan(MINUTE), NOON, NOON, (), [coming], None, 300).parts == ((MONEY, 120), ("7", 180))


def test_validity_may_change_between_seconds():
    """A pulse that begins at the instant of the change or later has the new source."""
    change = NOON + 90 * SECOND_US + 500_000
    ending, coming = bucket(1, 600, valid_until_us=change), bucket(2, 600, valid_from_us=change)
    by_second = plan(flat("0.10", "1/1"))

    assert fund(by_second, NOON, NOON, (), [ending], None, 100).parts == (("1", 91), (MONEY, 9))
    assert fund(by_second, NOON, NOON, (), [coming], None, 100).parts == ((MONEY, 91), ("2", 9))


def test_validity_of_volume_is_that_of_its_line():
    """Octets take no time: a bucket that is valid now is valid for all of them."""
    megabytes = bucket(7, 5_000, unit="octets", valid_until_us=NOON + 1)
    found = plan(service("data", "1.00", "1MB"), "data")

    assert fund(found, NOON, NOON, (), [megabytes], 10**6, 9_000).parts == (("7", 5_000), (MONEY, 4_000))


def test_a_bundle_alone_is_granted_without_money():
    """An empty account talks as long as its bundle lasts."""
    assert fund(plan(MINUTE), NOON, NOON, (), [bucket(7, 90)], 0, 3_600) == ((("7", 90),), 90, 0, ((7, 90),))


def test_money_granted_before_stays_first():
    """A top-up of a bundle in mid-call pays for what comes after the money that was granted."""
    funding = fund(plan(MINUTE), NOON, NOON, ((MONEY, 60),), [bucket(7, 90)], 100_000, 3_600)

    assert funding == (((MONEY, 60), ("7", 90)), 150, 100_000, ((7, 90),))


def test_money_alone_has_no_parts():
    """Without a bucket that counts, a plan of money stays the short one."""
    assert fund(plan(MINUTE), NOON, NOON, ((MONEY, 60),), [bucket(7, 0)], 200_000, 3_600).parts == ()
    assert fund(plan(MINUTE), NOON, NOON, (), (), 200_000, 3_600) == ((), 120, 200_000, ())


def test_truncating_keeps_the_beginning():
    """What was used stays, in order."""
    parts = (("7", 60), (MONEY, 60), ("8", 60))

    assert truncate(parts, 90) == (("7", 60), (MONEY, 30))
    assert truncate(parts, 0) == ()
    assert truncate(parts, 500) == parts


@pytest.mark.parametrize(
    ("pulse", "units", "parts", "expected"),
    [
        ("60/6", 1, (), 60),
        ("60/6", 60, (), 60),
        ("60/6", 61, (), 66),
        ("1.5", 2, (), 3),
        ("1.5", 4, (), 4),
        ("60/6", 0, (), 0),
        ("60/6", 30, (("7", 90),), 30),
        ("60/6", 91, (("7", 90),), 150),
        ("60/6", 200, (("7", 90),), 204),
        ("60/60", 30, (("", 30), ("7", 90)), 30),
        ("60/60", 10, (("", 30), ("7", 90)), 30),
        ("60/60", 121, (("", 30), ("7", 90), ("", 10)), 180),
    ],
)
def test_units_are_aligned_to_the_end_of_their_pulse(pulse, units, parts, expected):
    """S6: up to the next pulse boundary, in whole units, and never over the beginning of a bucket."""
    assert align(plan(flat("0.10", pulse)), NOON, units, parts) == expected


@pytest.mark.parametrize(("answered", "expected"), [("2026-11-23 07:59:00", 10_000), ("2026-11-23 07:59:02", 10_000)])
def test_the_dearest_anchor_is_held(answered, expected):
    """S3: authorized at 07:59:00 with 60 s, 0.10 is held though it may cost 0.01 in the end."""
    found = plan(PEAK)
    begun = at_us("2026-11-23 07:59:00")

    assert held_price(found, begun, begun + 180 * SECOND_US, 60) == 100_000
    assert settle(found, at_us(answered), (), 60).amount_micro == expected


def test_the_latest_anchor_is_held():
    """The later the answer, the more of the call may lie in the dear time behind the window."""
    begun = at_us("2026-11-23 07:58:00")

    assert held_price(plan(PEAK), begun, begun, 120) == 20_000
    assert held_price(plan(PEAK), begun, begun + 90 * SECOND_US, 120) == 110_000


def test_a_short_dear_period_inside_the_window_is_held():
    """Boundaries inside the window count, not only its ends."""
    text = PEAK.replace('"18:00"', '"08:01"')
    begun = at_us("2026-11-23 07:59:00")

    assert held_price(plan(text), begun, begun + 180 * SECOND_US, 60) == 100_000
    assert grant(plan(text), begun, begun + 180 * SECOND_US, 99_999, 60) == 0
    assert grant(plan(text), begun, begun, 99_999, 60) == 60
