"""Groups the addresses of visitors: limits and shares are counted for a group, not for a single address."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

IPV6_PREFIX = 64  # bits; whoever has one IPv6 address has 2⁶⁴ of them, which differ in the rest


def address_group(ip: str | None) -> str:
    """What is counted as one address: an IPv4 address by itself, an IPv6 address with its /64; "" where none is known.

    An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address. What is no address stands for itself.
    """
    if not ip:
        return ""
    try:
        address = ip_address(ip.partition("%")[0])  # without the name of an interface
    except ValueError:
        return ip
    if not isinstance(address, IPv4Address):
        if (mapped := address.ipv4_mapped) is None:
            return str(ip_network((address, IPV6_PREFIX), strict=False))
        address = mapped
    return str(address)
