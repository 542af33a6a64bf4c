import os
import socket

processes = [name for name in os.listdir("/proc") if name.isdigit()]
print("I am process", os.getpid(), "of", len(processes), "on", socket.gethostname())
print("interfaces:", ", ".join(name for _, name in socket.if_nameindex()))
print("in /home:", os.listdir("/home"), "in /tmp:", os.listdir("/tmp"))
