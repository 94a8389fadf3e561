"""uvicorn's WebSocket protocol, adapted to clients that send much and read slowly."""

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

STUCK_S = 10.0
"""After the end of a stream, a client that reads nothing for this long is disconnected."""

SMALL_BYTES = 65536
MAX_QUEUED = 16
"""Small messages queued for the application before reading pauses."""


class LiveConnection(WebSocketsSansIOProtocol):
    """Changes two behaviours of uvicorn. A client is not disconnected for a missing pong that is
    unread behind other messages because the application is slow. A client that stops reading after
    the end of the stream is disconnected, which frees its buffer."""

    _received_s = 0.0

    def data_received(self, data: bytes) -> None:
        self._received_s = self.loop.time()
        super().data_received(data)

    def send_receive_event_to_app(self) -> None:
        """Pauses reading only for large messages and a full queue. uvicorn pauses for every
        message, which takes two system calls."""
        if not self.close_sent and self._is_damaged_text():
            self.conn.send_close(1007)  # RFC 6455, 8.1; uvicorn would log a traceback
            self.handle_parser_exception()
            return
        small = sum(map(len, self.frames)) <= SMALL_BYTES and self.queue.qsize() < MAX_QUEUED
        if self.read_paused or not small:
            super().send_receive_event_to_app()
            return
        self.read_paused = True  # uvicorn then does not pause reading
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
        if self.read_paused or self._received_s > self.ping_sent_at:
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
