"""The real world behind the ports: the disk and its thread, the lock on the data folder, connections and their frames."""
