#!/usr/bin/env python3
"""Creates an application and starts it, with nothing but Python's standard library.

    examples/create_application.py crm

It talks to the daemon at NBAPPS_SOCKET, else at the default socket.
"""
import json
import os
import socket
import sys


def default_socket():
    """Where the daemon is when nobody says otherwise: root's is the machine's."""
    if os.geteuid() == 0:
        return "/run/nbapps/control.sock"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return os.path.join(runtime, "nbapps/control.sock")
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "nbapps/control.sock")


class Refused(Exception):
    """The daemon's error."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.kind = error["data"]["kind"]
        self.hint = error["data"].get("hint")


class Daemon:
    """A connection to the control socket: JSON-RPC 2.0, one message a line."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.last_id = 0

    def call(self, method, **params):
        self.last_id += 1
        request = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        for line in self.lines:
            message = json.loads(line)
            if message.get("method") == "progress":
                print(" ", message["params"]["stage"])
            elif "error" in message:
                raise Refused(message["error"])
            elif message.get("id") == self.last_id:
                return message["result"]
        raise ConnectionError("the daemon closed the connection")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: create_application.py ID")
    path = os.environ.get("NBAPPS_SOCKET") or default_socket()
    try:
        daemon = Daemon(path)
        created = daemon.call("app.create", id=sys.argv[1], start=True)
    except OSError as error:
        sys.exit(f"error: no daemon at {path} ({error}); start one with: nbapps daemon start")
    except Refused as error:
        sys.exit(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
    application = created["application"]
    print(f"{application['id']} is {application['state']}: {application['url']}")
    # The password is here when the daemon made it, and is never told again.
    if password := created.get("admin", {}).get("password"):
        print(f"sign in as {created['admin']['email']}, password {password}")


if __name__ == "__main__":
    main()
