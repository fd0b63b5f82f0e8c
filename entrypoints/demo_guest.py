"""What the demo's guests run: a listener that takes orders, so that a demo can burn CPU and move bytes when it wants to."""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address

ORDER_PORT = 7000
CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 60.0
READ_BYTES = 65_536
MIB = 1024 * 1024
SEND_MIB_MAX = 1_024

USER_DATA = f"""#!/bin/sh
# Takes orders on port {ORDER_PORT}: "burn SECONDS" keeps one CPU busy, "send MIB" sends that many bytes back.
cat > /tmp/order <<'ORDER'
#!/bin/sh
read verb amount
case "$verb" in
  burn) timeout "$amount" sh -c 'while :; do :; done' >/dev/null 2>&1 </dev/null &
        echo "burning for $amount s" ;;
  send) dd if=/dev/zero bs=65536 count=$((amount * 16)) 2>/dev/null ;;
  *)    echo "orders: burn SECONDS, send MIB" ;;
esac
ORDER
chmod +x /tmp/order
echo "the demo listens for orders on port {ORDER_PORT}"
nc -ll -p {ORDER_PORT} -e /tmp/order >/dev/null 2>&1 &
"""


@dataclass(frozen=True, slots=True)
class GuestOrders:
    """Gives orders to one guest over its network."""

    address: IPv4Address

    def burn(self, seconds: int) -> str:
        """Keep one CPU of the guest busy; return what the guest answered. Raises OSError when it does not listen."""
        with self.connect() as link:
            link.sendall(f"burn {seconds}\n".encode())
            return link.recv(READ_BYTES).decode(errors="replace").strip()

    def send(self, mebibytes: int) -> int:
        """Have the guest send bytes; return how many arrived. Raises OSError when it does not listen."""
        received = 0
        with self.connect() as link:
            link.sendall(f"send {mebibytes}\n".encode())
            while received < min(mebibytes, SEND_MIB_MAX) * MIB:
                part = link.recv(READ_BYTES)
                if not part:
                    break
                received += len(part)
        return received

    def connect(self) -> socket.socket:
        """Open a connection to the guest's listener."""
        link = socket.create_connection((str(self.address), ORDER_PORT), timeout=CONNECT_TIMEOUT_S)
        link.settimeout(READ_TIMEOUT_S)
        return link
