"""Rollouts: generators that yield effects, the driver that batches them over a backend, episodes."""
