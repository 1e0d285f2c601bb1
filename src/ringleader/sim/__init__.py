"""The simulated world: whole nodes and clients on simulated disks, network and clocks, one seed a run.

`run` runs a seed; `world` is what it runs; `options` says what a seed draws; `oracle`, `truth` and `check` judge.
"""
