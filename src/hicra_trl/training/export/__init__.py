"""A trained model as others read it: weights, shards, adapters."""
