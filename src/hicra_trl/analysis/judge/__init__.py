"""Why wrong solutions are wrong: the question, who answers it, and what is kept of the answers."""
