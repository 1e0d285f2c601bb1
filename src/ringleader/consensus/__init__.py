"""Consensus: cores behind one shape of a replicated log (`consensus.shape`)."""
