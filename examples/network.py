"""Two containers on a bridge: a web server, and a client that knows it by name."""

import urllib.request

import anyio
import anyio.to_thread

from aiocontainer import Config, Container, Dns, Network, Rootfs
from aiocontainer.config import BridgeNetwork

SERVER = "cd /tmp; echo hello from $(hostname) > index.html; exec busybox httpd -f"
CLIENT = "until busybox wget -qO- http://web/ 2>/dev/null; do sleep 0.05; done"


def config(name: str, network: BridgeNetwork) -> Config:
    """A small machine of this name."""
    return Config(rootfs=Rootfs.host(), hostname=name, network=network)


async def main() -> None:
    """Ask the server from the other container, and by its published port."""
    public = Network.bridge("example0", publish=[(0, 80)])
    async with Container(config("web", public)) as web:
        await web.start(["sh", "-c", SERVER])
        (network,) = web.networks
        port = network.ports[0].host_port
        print(f"the server has {network.address}, and port {port} of this host")

        dns = Dns(hosts={"web": str(network.address)})
        private = Network.bridge("example0", dns=dns)
        async with Container(config("client", private)) as client:
            result = await client.run(["sh", "-c", CLIENT], timeout=10)
            print("its neighbour reads:", result.stdout.decode().strip())

        url = f"http://127.0.0.1:{port}/"
        page = await anyio.to_thread.run_sync(urllib.request.urlopen, url)
        print("this host reads:", page.read().decode().strip())


anyio.run(main)
