"""A pymodbus server for the tests: `modbus-peer.py '{"kind": "tcp", "framer": "socket", "port": 5020, "units": [1, 2]}'`.

Unit u holds u * 1000 + a at holding register a and u * 1000 + 500 + a at input register a, coils at addresses that 3
divides, discrete inputs at those that 2 divides, and the 32 bit float 229.01 at the registers 200 to 207 in each of the four orders.
Prints `ready` when it listens: opening a serial port throws away what came before.
"""

import asyncio
import json
import logging
import ssl
import struct
import sys

from pymodbus import FramerType
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer

SIZE = 300
PLANTED = 229.01


def orders(value):
    a, b, c, d = struct.pack(">f", value)
    for wire in ((a, b, c, d), (c, d, a, b), (b, a, d, c), (d, c, b, a)):
        yield struct.unpack(">HH", bytes(wire))


def device(unit):
    holding = [(unit * 1000 + a) & 0xFFFF for a in range(SIZE)]
    for index, words in enumerate(orders(PLANTED)):
        holding[200 + 2 * index : 202 + 2 * index] = words
    return ModbusDeviceContext(
        hr=ModbusSequentialDataBlock(1, holding),
        ir=ModbusSequentialDataBlock(1, [(unit * 1000 + 500 + a) & 0xFFFF for a in range(SIZE)]),
        co=ModbusSequentialDataBlock(1, [a % 3 == 0 for a in range(SIZE)]),
        di=ModbusSequentialDataBlock(1, [a % 2 == 0 for a in range(SIZE)]),
    )


async def main(options):
    kind = options["kind"]
    framer = FramerType(options.get("framer", "socket"))
    devices = {unit: device(unit) for unit in options.get("units", [1])}
    context = ModbusServerContext(devices=devices, single=False)
    common = {"framer": framer, "ignore_missing_devices": True}
    if kind == "serial":
        server = ModbusSerialServer(
            context,
            port=options["port"],
            baudrate=options.get("baudrate", 19200),
            broadcast_enable=True,
            **common,
        )
    elif kind == "tls":
        sslctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        sslctx.load_cert_chain(options["certfile"], options["keyfile"])
        server = ModbusTlsServer(
            context, address=("127.0.0.1", options["port"]), sslctx=sslctx, ignore_missing_devices=True
        )
    else:
        make = ModbusUdpServer if kind == "udp" else ModbusTcpServer
        server = make(context, address=("127.0.0.1", options["port"]), **common)
    await server.serve_forever(background=True)
    print("ready", flush=True)
    await server.serving


logging.disable(logging.CRITICAL)
asyncio.run(main(json.loads(sys.argv[1])))
