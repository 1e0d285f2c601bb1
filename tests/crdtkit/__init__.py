"""What the tests of replicated types share: the types with their specifications, and worlds of replicas."""
