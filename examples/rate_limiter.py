"""A distributed rate limiter: a budget of 100 calls a minute over three gateways, never exceeded.

No coordination per call: a bounded counter holds each window's budget. Each gateway spends rights that it holds; one
that runs out asks a neighbour for some. Even when the gateways cannot talk, the sum of what they let through never
exceeds the budget.

Run: python examples/rate_limiter.py
"""

from ringleader.crdt import BoundedCounter, InsufficientRightsError, ReplicaContext

BUDGET = 100
GATEWAYS = ("east", "north", "west")


def main() -> None:
    """One window: unequal demand, a partition in the middle."""
    limits = {name: BoundedCounter(ReplicaContext(name)) for name in GATEWAYS}
    limits["east"].increment(BUDGET)  # whoever opens the window brings the budget and shares it out
    limits["east"].transfer("north", 33)
    limits["east"].transfer("west", 33)

    def gossip(*names: str) -> None:
        for one in names:
            for other in names:
                limits[one].merge(limits[other])

    def allow(name: str) -> bool:
        try:
            limits[name].decrement()
        except InsufficientRightsError:
            return False
        return True

    gossip(*GATEWAYS)
    let_through = dict.fromkeys(GATEWAYS, 0)
    for _ in range(50):  # west is cut off and busy: it can spend its own share only
        let_through["west"] += allow("west")
    for _ in range(40):
        let_through["east"] += allow("east")
        if limits["east"].rights() == 0 and limits["north"].rights() > 10:
            limits["north"].transfer("east", 10)  # asked over the network, between calls
            gossip("east", "north")
    print("let through:", let_through)
    gossip(*GATEWAYS)
    for _ in range(100):
        for name in GATEWAYS:
            let_through[name] += allow(name)
    gossip(*GATEWAYS)
    print("in the end:", sum(let_through.values()), "of", BUDGET)
    print(limits["west"].explain())


if __name__ == "__main__":
    main()
