"""A server on this machine that speaks like one of models; the test says what it answers."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint(BaseHTTPRequestHandler):
    """Speaks like a server of models; the test tells it what to answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(200, {"data": [{"id": "tiny", "owned_by": self.server.software}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.append((self.path, body, self.headers))
            self.server.running += 1
            self.server.most = max(self.server.most, self.server.running)
            status, answer = self.server.answer(body, len(self.server.seen))
        time.sleep(0.01)
        with self.server.lock:
            self.server.running -= 1
        self.reply(status, answer)

    def reply(self, status, answer):
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "0.01")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def completion_of(body, text="so what", reason="stop", **more):
    spoken = {"message": {"content": text}} if "messages" in body else {"text": text}
    return {"choices": [{**spoken, "finish_reason": reason, **more}], "usage": {"completion_tokens": 5}}


@contextmanager
def model_server():
    """A server, running; `answer` says what it answers with which status, and `seen` is what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.software, server.lock, server.seen, server.running, server.most = "other", threading.Lock(), [], 0, 0
    server.answer = lambda body, number: (200, completion_of(body))
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
