"""Feature flags: operators switch them anywhere, even while sites are cut off; a kill switch wins over switching on.

Run: python examples/feature_flags.py
"""

import ringleader
from ringleader.crdt import DWFlag, EWFlag, Model, MVRegister


class Flags(Model):
    """`new_checkout` favours on; `payments` is a kill switch: off wins."""

    new_checkout: EWFlag
    payments: DWFlag
    rollout_percent: MVRegister[int]


def main() -> None:
    """Two sites that do not see each other for a while."""
    paris, tokyo = ringleader.replica(Flags), ringleader.replica(Flags)
    paris.root.payments.enable()
    paris.root.rollout_percent.set(10)
    paris.finish("tokyo", tokyo.answer(paris.ask("tokyo")))

    seen: list[str] = []
    paris.root.observe(lambda change: seen.append(".".join(map(str, change.path))) if not change.local else None)

    # Cut off from each other, two operators decide differently.
    paris.root.new_checkout.enable()
    tokyo.root.new_checkout.disable()
    paris.root.payments.enable()
    tokyo.root.payments.disable()
    paris.root.rollout_percent.set(50)
    tokyo.root.rollout_percent.set(0)

    paris.finish("tokyo", tokyo.answer(paris.ask("tokyo")))
    print("new_checkout:", paris.root.new_checkout.value)
    print("payments:", paris.root.payments.value)
    print("rollout_percent, to be decided by a human:", paris.root.rollout_percent.value)
    print("paris heard of:", sorted(set(seen)))
    paris.root.rollout_percent.set(0)
    print("decided:", paris.root.rollout_percent.value)


if __name__ == "__main__":
    main()
