"""An offline shopping cart: two devices change it on a train without network; nothing is lost when they meet again.

Run: python examples/shopping_cart.py
"""

import ringleader
from ringleader.crdt import LWWRegister, Model, ORMap, ORSet, PNCounter


class Cart(Model):
    """One customer's cart."""

    items: ORMap[str, PNCounter]
    note: LWWRegister[str]
    vouchers: ORSet[str]


def main() -> None:
    """Two devices, one cart."""
    phone = ringleader.replica(Cart)
    laptop = ringleader.replica(Cart)

    phone.root.items["apple"] += 2
    phone.root.items["bread"] += 1
    laptop.finish("phone", phone.answer(laptop.ask("phone")))  # two messages, both ways
    print("on both:", laptop.root.items.value)

    # Offline: the phone takes the bread out, the laptop wants one more of it. Both set a note.
    del phone.root.items["bread"]
    phone.root.items["apple"] += 1
    phone.root.note.set("ring twice")
    laptop.root.items["bread"] += 1
    laptop.root.vouchers.add("SUMMER")
    with laptop.root.transaction():  # one delta: nobody ever sees half of it
        laptop.root.items["milk"] += 2
        laptop.root.items["apple"] -= 1

    # The laptop saves its state and restarts: it gets a new identity by itself.
    saved = laptop.root.encode()
    laptop = ringleader.replica(Cart, state=saved)

    phone.finish("laptop", laptop.answer(phone.ask("laptop")))
    assert phone.root.encode() == laptop.root.encode()
    print("together:", phone.root.value)
    print(phone.root.items["bread"].explain())


if __name__ == "__main__":
    main()
