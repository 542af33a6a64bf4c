"""What tables of nftables there are, asked of the kernel."""

import anyio

from aiocontainer.network.netlink import NETLINK_NETFILTER, NLM_F_DUMP, Netlink

_GETTABLE = 10 << 8 | 1


def tables() -> set[str]:
    """Names of all tables of the network namespace that we are in."""

    async def ask() -> set[str]:
        from pyroute2.netlink.nfnetlink.nftsocket import nft_table_msg

        found: set[str] = set()
        with Netlink.open(NETLINK_NETFILTER) as net:
            for data in await net.ask(nft_table_msg(), _GETTABLE, NLM_F_DUMP):
                message = nft_table_msg(data)
                message.decode()
                found.add(message.get_attr("NFTA_TABLE_NAME"))
        return found

    return anyio.run(ask)
