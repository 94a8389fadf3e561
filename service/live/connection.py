"""A WebSocket of uvicorn's, for clients who send much and read slowly."""

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

STUCK_S = 10.0
"""A client who has not read anything for so long after the end does not read the rest either."""

SMALL_BYTES = 65536
MOST_WAITING = 16
"""Small messages that wait for the application before no more are read."""


class LiveConnection(WebSocketsSansIOProtocol):
    """While the application is behind, a client's pong lies unread behind what the client has sent;
    uvicorn would take the client for dead. And what the client does not read after the end, uvicorn
    would keep for as long as the client likes."""

    _heard_s = 0.0

    def data_received(self, data: bytes) -> None:
        self._heard_s = self.loop.time()
        super().data_received(data)

    def send_receive_event_to_app(self) -> None:
        """uvicorn stops reading with every message until it is taken, which is two system calls;
        here, only with a large one and where many wait."""
        if not self.close_sent and self._is_damaged_text():
            self.conn.send_close(1007)  # RFC 6455, 8.1; uvicorn would log a traceback
            self.handle_parser_exception()
            return
        small = sum(map(len, self.frames)) <= SMALL_BYTES and self.queue.qsize() < MOST_WAITING
        if self.read_paused or not small:
            super().send_receive_event_to_app()
            return
        self.read_paused = True  # and so it is left as it is
        super().send_receive_event_to_app()
        self.read_paused = False

    def _is_damaged_text(self) -> bool:
        if self.curr_msg_data_type != "text":
            return False
        try:
            b"".join(self.frames).decode()
        except UnicodeDecodeError:
            return True
        return False

    def keepalive_timeout(self) -> None:
        if self.read_paused or self._heard_s > self.ping_sent_at:
            self.pong_timer = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self._abort_when_stuck(unread=-1)

    def _abort_when_stuck(self, unread: int) -> None:
        now_unread = self.transport.get_write_buffer_size()
        if now_unread == unread:
            self.transport.abort()
        elif now_unread:
            self.loop.call_later(STUCK_S, self._abort_when_stuck, now_unread)
