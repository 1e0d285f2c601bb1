"""Recipes for coordination, made of transactions, leases and watches alone: one file each.

lock, election          who is first in a fair queue            place, held     that queue, and a place in it
"""

from ringleader.client.recipes.election import Election, Leader, Leadership
from ringleader.client.recipes.lock import Lock

__all__ = ["Election", "Leader", "Leadership", "Lock"]
