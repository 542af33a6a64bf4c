import os
import time

children = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(600)
        children += 1
except OSError as error:
    print(f"after {children} children:", error.strerror)
