"""Bluetooth peripherals on virtual controllers; one more controller is the gateway's adapter: H4 over TCP on the port that is the
argument, or with `vhci` in its place an adapter of the kernel, hci0.

Prints "ready PORT", then a JSON line for each write, each return after `drops`, and each read that is not answered. Reads commands from standard input, one a line:
`drop NAME` ends the link; `drops NAME COUNT SEED` ends this one and those that follow, each after up to half a second, COUNT times;
`away NAME` ends it and stops advertising; `back NAME` advertises again; `hang NAME` and `wake NAME`: reads are not answered, and are
again; `value NAME HEX`: what its battery level is from now on; `kick` closes the gateway's connection to the adapter, or unplugs it and plugs it in; `reset`: the
adapter resets itself and says so.
"""
import asyncio
import json
import random
import socket
import struct
import sys
import time

from bumble.att import ATT_Error
from bumble.controller import Controller
from bumble.core import AdvertisingData
from bumble.device import Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.tcp_server import open_tcp_server_transport_with_socket
from bumble.transport.vhci import open_vhci_transport

BATTERY = "180F"
LEVEL = "2A19"
FIRMWARE = "2A26"
UART = "6E400001-B5A3-F393-E0A9-E50E24DCCA9E"
LABEL = "6E400002-B5A3-F393-E0A9-E50E24DCCA9E"
TICKS = "6E400003-B5A3-F393-E0A9-E50E24DCCA9E"
LOCKED = "6E400004-B5A3-F393-E0A9-E50E24DCCA9E"
TANKS = "6E400010-B5A3-F393-E0A9-E50E24DCCA9E"
TANK = "6E400011-B5A3-F393-E0A9-E50E24DCCA9E"
ADVERTISING_MS = 100
HARDWARE_ERROR = bytes([4, 0x10, 1, 0x42])
READ = Characteristic.Properties.READ
WRITE = Characteristic.Properties.WRITE
NOTIFY = Characteristic.Properties.NOTIFY


class Peripheral:
    def __init__(self, link, name, address, level):
        self.name = name
        self.label = b"none"
        self.level = bytes([level])
        self.drops_left = 0
        self.dropped_at = None
        self.random = random.Random()
        self.awake = asyncio.Event()
        self.awake.set()
        host = Host()
        host.controller = Controller(name, link=link)
        self.device = Device(name=name, address=Address(address), host=host)
        self.ticks = Characteristic(TICKS, NOTIFY, Characteristic.READABLE, bytes(2))
        # Two of one UUID in one service, as boards with several sensors of a kind have them.
        self.levels = [b"\x0a", b"\x0b"]
        self.tanks = [self.tank(index) for index in range(2)]

        async def read_level(_connection):
            if not self.awake.is_set():
                print(json.dumps({"name": self.name}), flush=True)
                await self.awake.wait()
            return self.level

        def write_label(_connection, value):
            self.label = bytes(value)
            print(json.dumps({"name": self.name, "hex": self.label.hex()}), flush=True)

        def refuse(_connection, _value):
            raise ATT_Error(0x03)

        self.device.add_services(
            [
                Service(
                    BATTERY,
                    [
                        Characteristic(LEVEL, READ, Characteristic.READABLE, CharacteristicValue(read=read_level)),
                        Characteristic(FIRMWARE, READ, Characteristic.READABLE, bytes([1, 4])),
                    ],
                ),
                Service(
                    UART,
                    [
                        Characteristic(
                            LABEL,
                            READ | WRITE,
                            Characteristic.READABLE | Characteristic.WRITEABLE,
                            CharacteristicValue(read=lambda _connection: self.label, write=write_label),
                        ),
                        self.ticks,
                        Characteristic(
                            LOCKED,
                            READ | WRITE,
                            Characteristic.READABLE | Characteristic.WRITEABLE,
                            CharacteristicValue(read=lambda _connection: b"", write=refuse),
                        ),
                    ],
                ),
            ]
        )
        self.device.add_services(
            [
                Service(TANKS, self.tanks),
                # A second battery, in a service of its own.
                Service(BATTERY, [Characteristic(LEVEL, READ, Characteristic.READABLE, bytes([50]))]),
            ]
        )
        self.device.advertising_data = bytes(
            AdvertisingData(
                [
                    (AdvertisingData.COMPLETE_LOCAL_NAME, name.encode()),
                    (AdvertisingData.MANUFACTURER_SPECIFIC_DATA, bytes.fromhex("99040100e7")),
                ]
            )
        )

    def tank(self, index):
        def write(_connection, value):
            self.levels[index] = bytes(value)
            print(json.dumps({"name": f"{self.name} tank {index}", "hex": self.levels[index].hex()}), flush=True)

        return Characteristic(
            TANK,
            READ | WRITE | NOTIFY,
            Characteristic.READABLE | Characteristic.WRITEABLE,
            CharacteristicValue(read=lambda _connection: self.levels[index], write=write),
        )

    async def start(self):
        await self.device.power_on()
        self.device.on("connection", self.connected)
        await self.advertise()

    async def advertise(self):
        await self.device.start_advertising(
            auto_restart=True,
            advertising_interval_min=ADVERTISING_MS,
            advertising_interval_max=ADVERTISING_MS,
        )

    async def drops(self, count, seed):
        self.drops_left = count
        self.random.seed(seed)
        if self.device.connections:
            self.connected()

    def connected(self, _connection=None):
        if self.dropped_at is not None:
            away_ms = round((time.monotonic() - self.dropped_at) * 1000)
            self.dropped_at = None
            print(json.dumps({"name": self.name, "awayMs": away_ms}), flush=True)
        if self.drops_left > 0:
            self.drops_left -= 1
            self.dropping = asyncio.create_task(self.drop_later(self.random.random() / 2))

    async def drop_later(self, seconds):
        await asyncio.sleep(seconds)
        self.dropped_at = time.monotonic()
        await self.drop()

    async def drop(self):
        for connection in list(self.device.connections.values()):
            try:
                await connection.disconnect()
            except Exception as error:
                print(f"{self.name}: {error}", file=sys.stderr)

    async def away(self):
        await self.device.stop_advertising()
        await self.drop()
        await self.device.stop_advertising()

    async def tick(self):
        count = 0
        while True:
            await asyncio.sleep(0.02)
            if self.device.connections:
                count = (count + 1) % 65536
                await self.device.notify_subscribers(self.ticks, struct.pack("<H", count))
                if count % 10 == 0:
                    for index, tank in enumerate(self.tanks):
                        await self.device.notify_subscribers(tank, bytes([0xA0 + index]))


async def main():
    link = LocalLink()
    if sys.argv[1] == "vhci":
        port = 0
        transport = await open_vhci_transport(None)
    else:
        sock = socket.socket()
        sock.bind(("127.0.0.1", int(sys.argv[1])))
        sock.listen()
        port = sock.getsockname()[1]
        transport = await open_tcp_server_transport_with_socket(sock)
    gateway = Controller("gateway", host_source=transport.source, host_sink=transport.sink, link=link)
    peripherals = {}
    for number in range(1, 5):
        peripheral = Peripheral(link, f"Door {number}", f"F0:F1:F2:F3:F4:0{number}", 90 + number)
        peripherals[peripheral.name.replace(" ", "")] = peripheral
        await peripheral.start()
    ticking = [asyncio.create_task(one.tick()) for one in peripherals.values()]
    print(f"ready {port} {len(ticking)}", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command, *names = line.decode().split()
        if command in ("kick", "reset"):
            # A controller loses its links by a reset; this one keeps them.
            for one in peripherals.values():
                await one.drop()
            if command == "kick" and port == 0:
                await transport.close()
                transport = await open_vhci_transport(None)
                gateway.host = transport.sink
                transport.source.set_packet_sink(gateway)
            elif command == "kick":
                if transport.sink.transport is not None:
                    transport.sink.transport.close()
            else:
                transport.sink.on_packet(HARDWARE_ERROR)
            continue
        one = peripherals[names[0]]
        if command == "drop":
            await one.drop()
        elif command == "away":
            await one.away()
        elif command == "back":
            await one.advertise()
        elif command == "drops":
            await one.drops(int(names[1]), int(names[2]))
        elif command == "value":
            one.level = bytes.fromhex("".join(names[1:]))
        elif command == "hang":
            one.awake.clear()
        elif command == "wake":
            one.awake.set()


asyncio.run(main())
