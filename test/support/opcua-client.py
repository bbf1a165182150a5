"""An OPC UA client that we have not written: python opcua-client.py URL PATH-OF-OBJECT. Looks at every node, subscribes to the variables of
the object, writes its ForceSetpoint, calls ResetStrokes. Prints what it saw as JSON."""

import asyncio
import json
import sys

from asyncua import Client, ua

WATCHED = ["Force", "Position", "Strokes", "Running", "Phase"]


class Changes:
    """Counts what comes, by the name of the node."""

    def __init__(self):
        self.seen = {}
        self.twice = asyncio.Event()

    async def datachange_notification(self, node, value, data):
        name = node.nodeid.Identifier.split(".")[-1]
        self.seen.setdefault(name, []).append(type(value).__name__)
        if len(self.seen) == len(WATCHED) and any(len(all) > 1 for all in self.seen.values()):
            self.twice.set()


async def look(client, nodes, dangling):
    """All nodes below the root, each with its attributes; every reference must lead to a node that is there."""
    waiting = [client.nodes.root]
    while waiting:
        node = waiting.pop()
        if node.nodeid in nodes:
            continue
        try:
            nodes[node.nodeid] = (await node.read_browse_name()).Name
            kind = await node.read_node_class()
            await node.read_display_name()
            if kind == ua.NodeClass.Variable:
                await client.get_node(await node.read_data_type()).read_browse_name()
        except ua.UaError as error:
            dangling.append(f"{node.nodeid}: {error}")
            continue
        for reference in await node.get_references(direction=ua.BrowseDirection.Forward):
            waiting.append(client.get_node(reference.NodeId))


async def main(url, name):
    client = Client(url)
    async with client:
        nodes, dangling = {}, []
        await look(client, nodes, dangling)
        index = await client.get_namespace_index("urn:tbgw:demo:press")
        press = await client.nodes.objects.get_child(f"{index}:{name}")
        child = lambda browse_name: press.get_child(f"{index}:{browse_name}")
        changes = Changes()
        subscription = await client.create_subscription(100, changes)
        await subscription.subscribe_data_change([await child(one) for one in WATCHED])
        await asyncio.wait_for(changes.twice.wait(), 30)
        setpoint = await child("ForceSetpoint")
        before = await setpoint.read_value()
        await setpoint.write_value(80.5)
        strokes = await press.call_method(f"{index}:ResetStrokes")
        try:
            await (await child("Force")).write_value(1.0)
            refused = ""
        except ua.UaStatusCodeError as error:
            refused = type(error).__name__
        print(json.dumps({
            "nodes": len(nodes),
            "dangling": dangling,
            "types": {one: all[0] for one, all in changes.seen.items()},
            "setpoint": [before, await setpoint.read_value()],
            "strokes": type(strokes).__name__,
            "refused": refused,
            "state": await client.nodes.server_state.read_value(),
        }))


asyncio.run(main(*sys.argv[1:]))
