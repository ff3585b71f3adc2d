"""The barest loop into an LDAP server: python-ldap, one connection, 64 adds under way.

python ldap_peer.py URL ADMIN PASSWORD PEOPLE COUNT
"""

import sys
import time

import ldap

AT_ONCE = 64
CLASSES = [b"top", b"person", b"organizationalPerson", b"inetOrgPerson"]


def entry(number: int) -> list[tuple[str, list[bytes]]]:
    name = b"bare-%d" % number
    return [
        ("objectClass", CLASSES),
        ("uid", [name]),
        ("cn", [b"Given Family"]),
        ("sn", [b"Family"]),
        ("givenName", [b"Given"]),
        ("displayName", [b"Given Family"]),
        ("mail", [name + b"@x.example"]),
        ("labeledURI", [b"botrix:bench:%d" % number]),
        ("userPassword", [b"Pass-w0rd-of-the-benchmark"]),
    ]


def main() -> None:
    url, admin, password, people, count = sys.argv[1:6]
    server = ldap.initialize(url)
    server.simple_bind_s(admin, password)
    began, under_way = time.perf_counter(), 0
    for number in range(int(count)):
        server.add_ext(f"uid=bare-{number},{people}", entry(number))
        under_way += 1
        if under_way == AT_ONCE:
            server.result3()
            under_way -= 1
    while under_way:
        server.result3()
        under_way -= 1
    print(int(count) / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
