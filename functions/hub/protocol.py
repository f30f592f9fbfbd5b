"""The server's end of a WebSocket, as uvicorn has it, with a bounded buffer, and a way out for who does not read."""

from __future__ import annotations

from asyncio import BaseTransport

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

BUFFER = 64 << 10
"""Bytes of a socket that wait in this process at most, and one message more."""


class Protocol(WebSocketsSansIOProtocol):
    """`scope["state"]["protocol"]` of a socket."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=BUFFER)

    async def run_asgi(self) -> None:
        self.scope["state"]["protocol"] = self
        await super().run_asgi()

    def give_up(self, code: int, reason: str) -> None:
        """Closes without waiting for what is in the buffer: whoever reads again soon finds the code behind it."""
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
