"""Addresses are counted by IPv4 address, and by /64 of IPv6."""

import pytest

from xent_host.addresses import address_group


@pytest.mark.parametrize(
    ("ip", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("testclient", "testclient"),
        ("", ""),
        (None, ""),
    ],
)
def test_one_address_has_one_group_however_it_is_written(ip: str | None, group: str) -> None:
    assert address_group(ip) == group


def test_neighbouring_ipv4_addresses_and_networks_are_others() -> None:
    assert len({address_group(ip) for ip in ("192.0.2.1", "192.0.2.2", "2001:db8:1:2::1", "2001:db8:1:3::1")}) == 4
