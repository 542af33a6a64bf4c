import ctypes
import os

for path in ("/etc/shadow", "/proc/kcore", "/sys/firmware/acpi"):
    try:
        descriptor = os.open(path, os.O_RDONLY)
        print(path, "->", "a directory of" if os.path.isdir(path) else "a file of")
        print(os.listdir(path) if os.path.isdir(path) else os.read(descriptor, 9))
    except OSError as error:
        print(path, "->", error.strerror)
libc = ctypes.CDLL(None, use_errno=True)
for name, arguments in {
    "mount": (b"tmpfs", b"/tmp", b"tmpfs", 0, None),
    "unshare": (0x10000000,),
    "sethostname": (b"mine", 4),
}.items():
    failed = getattr(libc, name)(*arguments) == -1
    print(name, "->", os.strerror(ctypes.get_errno()) if failed else "done")
