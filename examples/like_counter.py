"""A like counter: every web server counts by itself and passes small deltas on; visitors are estimated by HyperLogLog.

The network loses, repeats and reorders messages here; the count is exact all the same.

Run: python examples/like_counter.py
"""

import random

from ringleader.crdt import GapError, GCounter, HyperLogLog, Model, ReplicaContext


class Page(Model):
    """What is counted about a page."""

    likes: GCounter
    visitors: HyperLogLog


def main() -> None:
    """Four servers, 2,000 likes by 1,500 people, a bad network."""
    rng = random.Random(1)
    servers = [Page(ReplicaContext(f"web-{i}")) for i in range(4)]
    mail: list[tuple[int, bytes]] = []
    lost = refused = 0
    people = set()
    for _ in range(2000):
        i = rng.randrange(4)
        servers[i].likes += 1
        people.add(person := rng.randrange(1500))
        servers[i].visitors.add(person)
        if rng.random() < 0.05:
            j = rng.randrange(4)
            mail.append((j, servers[i].delta_since(servers[j].version).encode()))
        if mail and rng.random() < 0.05:
            j, message = rng.choice(mail)  # any message, perhaps for the second time
            try:
                servers[j].apply(message)
            except GapError:
                refused += 1  # it builds on something that is not here: it will come again, with more
        if mail and rng.random() < 0.02:
            mail.pop(rng.randrange(len(mail)))
            lost += 1
    for one in servers:
        for other in servers:
            one.merge(other)
    print("likes everywhere:", [server.likes.value for server in servers[-1:]], "messages lost:", lost > 0)
    print(f"visitors: {len(people)}, estimated {servers[-1].visitors.value}")


if __name__ == "__main__":
    main()
