hoard = []
while True:
    hoard.append(b"x" * 2**20)
    if len(hoard) % 20 == 0:
        print("holding", len(hoard), "MiB", flush=True)
