"""What the tests share: capability probes, leak check, root file systems, sweeps."""
