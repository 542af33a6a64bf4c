"""Plans: an ordered list of small steps, compiled from a config by a pure function."""
