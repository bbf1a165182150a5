"""An OPC UA server that we have not written: python opcua-peer.py PORT DIRECTORY. Says "ready" and serves until it is killed."""

import asyncio
import datetime
import sys

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.server.user_managers import UserManager
from cryptography.x509.oid import ExtendedKeyUsageOID
from pathlib import Path


class Users(UserManager):
    """Anybody may read; ann may do all."""

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username is None:
            return User(role=UserRole.Admin)
        if username == "ann" and password == "p@ss":
            return User(role=UserRole.Admin, name="ann")
        return None


async def main(port, directory):
    server = Server(user_manager=Users())
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/plant")
    key = Path(directory) / "server.pem"
    certificate = Path(directory) / "server.der"
    await setup_self_signed_certificate(
        key,
        certificate,
        "urn:tbgw:peer",
        "localhost",
        [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH],
        {"commonName": "peer", "countryName": "DE", "stateOrProvinceName": "x", "localityName": "x", "organizationName": "x"},
    )
    await server.set_application_uri("urn:tbgw:peer")
    await server.load_certificate(str(certificate))
    await server.load_private_key(str(key))
    names = [
        "NoSecurity",
        "Basic128Rsa15_Sign",
        "Basic128Rsa15_SignAndEncrypt",
        "Basic256Sha256_Sign",
        "Basic256Sha256_SignAndEncrypt",
        "Aes128Sha256RsaOaep_Sign",
        "Aes128Sha256RsaOaep_SignAndEncrypt",
        "Aes256Sha256RsaPss_Sign",
        "Aes256Sha256RsaPss_SignAndEncrypt",
    ]
    server.set_security_policy([getattr(ua.SecurityPolicyType, name) for name in names if hasattr(ua.SecurityPolicyType, name)])
    space = await server.register_namespace("urn:plant")
    boiler = await server.nodes.objects.add_object(ua.NodeId("Boiler1", space), ua.QualifiedName("Boiler1", space))

    async def add(name, identifier, value, kind):
        node = await boiler.add_variable(ua.NodeId(identifier, space), ua.QualifiedName(name, space), value, kind)
        await node.set_writable()
        return node

    def count_watched():
        """What clients watch, as SUBSCRIPTIONS/ITEMS."""
        subscriptions = server.iserver.subscription_service.subscriptions.values()
        items = sum(len(one.monitored_item_srv._monitored_items) for one in subscriptions)
        return f"{len(subscriptions)}/{items}"

    counter = await add("Counter", 1, 0, ua.VariantType.UInt32)
    watched = await add("Watched", 11, count_watched(), ua.VariantType.String)
    await add("Temperature", 2, 81.5, ua.VariantType.Double)
    await add("Running", 3, True, ua.VariantType.Boolean)
    await add("Name", 4, "B-1", ua.VariantType.String)
    await add("Big", 5, 9007199254740993, ua.VariantType.Int64)
    await add("List", 6, [1, 2, 3], ua.VariantType.Int32)
    await add("When", 7, datetime.datetime(2026, 3, 1, 10, 0, 0, 250000), ua.VariantType.DateTime)
    await add("Text", 8, ua.LocalizedText("Running", "en"), ua.VariantType.LocalizedText)
    await add("Bytes", 9, b"\x01\xab", ua.VariantType.ByteString)
    await add("Range", 10, ua.Range(Low=0.0, High=100.0), ua.VariantType.ExtensionObject)

    async def multiply(parent, one, other):
        return [ua.Variant(one.Value * other.Value, ua.VariantType.Int64)]

    await boiler.add_method(
        ua.NodeId("multiply", space),
        ua.QualifiedName("multiply", space),
        multiply,
        [ua.VariantType.Int64, ua.VariantType.Int64],
        [ua.VariantType.Int64],
    )
    async with server:
        print("ready", flush=True)
        count = 0
        while True:
            count += 1
            await counter.write_value(count, ua.VariantType.UInt32)
            await watched.write_value(count_watched(), ua.VariantType.String)
            await asyncio.sleep(0.1)


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
