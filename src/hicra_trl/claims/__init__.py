"""Whether what the paper claims holds: campaigns of conditions and seeds."""
