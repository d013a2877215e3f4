"""What samples, and how a problem becomes a prompt."""
