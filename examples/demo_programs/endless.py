import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    print("still here, and deaf to SIGTERM", flush=True)
    time.sleep(1)
