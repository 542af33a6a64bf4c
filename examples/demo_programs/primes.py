sieve = bytearray([1]) * 3_000_000
for i in range(2, 1733):
    if sieve[i]:
        sieve[i * i :: i] = bytes(len(sieve[i * i :: i]))
    if i % 400 == 0:
        print("sieved up to", i, flush=True)
print(sum(sieve) - 2, "primes below three million")
