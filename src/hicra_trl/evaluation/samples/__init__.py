"""What was sampled, stored as it comes."""
