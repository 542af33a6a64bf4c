"""What a container has of the network. So far: what its interfaces have counted."""
