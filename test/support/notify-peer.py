"""Receives sd_notify datagrams at the address in the first argument and prints each as one line of JSON."""
import json
import socket
import sys

place = sys.argv[1]
peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
peer.bind("\0" + place[1:] if place.startswith("@") else place)
print("ready", flush=True)
while True:
    print(json.dumps(peer.recv(65536).decode()), flush=True)
