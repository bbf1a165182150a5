"""A pymodbus client for the tests: `modbus-master.py '{"kind": "tcp", "port": 5020, "framer": "socket", "unit": 1}'`.

Reads two holding registers at 0, writes 4242 to register 5 and coil 3, reads them back, and prints all as one JSON object.
"""

import json
import logging
import sys

from pymodbus import FramerType
from pymodbus.client import ModbusSerialClient, ModbusTcpClient, ModbusUdpClient

logging.disable(logging.CRITICAL)
options = json.loads(sys.argv[1])
framer = FramerType(options.get("framer", "socket"))
unit = options.get("unit", 1)
if options["kind"] == "serial":
    client = ModbusSerialClient(options["port"], framer=framer, baudrate=115200, timeout=2)
else:
    make = ModbusUdpClient if options["kind"] == "udp" else ModbusTcpClient
    client = make("127.0.0.1", port=options["port"], framer=framer, timeout=2)
assert client.connect()
found = {
    "registers": client.read_holding_registers(0, count=2, device_id=unit).registers,
    "missing": client.read_holding_registers(700, count=1, device_id=unit).exception_code,
    "write": client.write_register(5, 4242, device_id=unit).isError(),
    "coil": client.write_coil(3, True, device_id=unit).isError(),
}
found["back"] = client.read_holding_registers(5, count=1, device_id=unit).registers
found["coils"] = client.read_coils(3, count=1, device_id=unit).bits[0]
client.close()
print(json.dumps(found))
