"""What was measured, as tables and on the Hub."""
