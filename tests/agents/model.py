#!/usr/bin/env python3
"""A model that plays fixed steps, so that real coding agents run without an account.

usage: model.py STEPS.json LOG

Steps are played in order: {"shell": COMMAND} by the agent's shell tool, {"write": PATH, "text": T} by its file tool,
{"say": TEXT} ends the turn. Which step comes next follows from the request alone (tool results since the last prompt), so
retries and side requests disturb nothing. Listens on a free port of 127.0.0.1, prints it, and writes the results that
arrived with each request to LOG, one JSON list a line. Speaks Anthropic Messages and OpenAI Responses, streamed.
"""
import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

with open(sys.argv[1]) as steps:
    STEPS = json.load(steps)
LOG = open(sys.argv[2], "a", buffering=1)


def flat(content):
    """All text of a message or result, however it is nested."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(flat, content))
    if isinstance(content, dict):
        return flat(content.get("text") or content.get("content") or content.get("output") or "")
    return ""


def next_step(results, has_tools):
    if not has_tools:
        return {"say": "ok"}
    return STEPS[len(results)] if len(results) < len(STEPS) else {"say": "done"}


class Messages:
    """Anthropic: content blocks, tools by name."""

    def results(self, request):
        found = []
        for message in request["messages"]:
            content = message["content"]
            blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
            results = [flat(b.get("content")) for b in blocks if b.get("type") == "tool_result"]
            said = any(b.get("type") == "text" and "<system-reminder>" not in b["text"] for b in blocks)
            if message["role"] == "user" and said and not results:
                found = []  # a new prompt begins the steps again
            found += results
        return found

    def answer(self, request, results):
        tools = {t.get("name") for t in request.get("tools", [])}
        step = next_step(results, "Bash" in tools)
        if "shell" in step:
            use = ("Bash", {"command": step["shell"], "description": "a step"})
        elif "write" in step:
            use = ("Write", {"file_path": step["write"], "content": step["text"]})
        else:
            use = None
        head = {"id": "msg_" + uuid.uuid4().hex, "type": "message", "role": "assistant", "model": request.get("model", ""),
                "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
        if use:
            block = {"type": "tool_use", "id": "toolu_" + uuid.uuid4().hex[:20], "name": use[0], "input": {}}
            delta, stop = {"type": "input_json_delta", "partial_json": json.dumps(use[1])}, "tool_use"
            whole = dict(block, input=use[1])
        else:
            block = {"type": "text", "text": ""}
            delta, stop = {"type": "text_delta", "text": step["say"]}, "end_turn"
            whole = {"type": "text", "text": step["say"]}
        events = [
            ("message_start", {"message": head}),
            ("content_block_start", {"index": 0, "content_block": block}),
            ("content_block_delta", {"index": 0, "delta": delta}),
            ("content_block_stop", {"index": 0}),
            ("message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 1}}),
            ("message_stop", {}),
        ]
        return events, dict(head, content=[whole], stop_reason=stop)


class Responses:
    """OpenAI: items; the tools differ between versions."""

    def results(self, request):
        found = []
        for item in request["input"] if isinstance(request["input"], list) else []:
            kind = item.get("type", "")
            prompt = kind == "message" and item.get("role") == "user"
            if prompt and "<environment_context>" not in flat(item.get("content")):
                found = []
            if kind.endswith("_call_output"):
                found.append(flat(item.get("output")))
        return found

    def item(self, step, tools):
        call = {"call_id": "call_" + uuid.uuid4().hex[:16]}
        command = step.get("shell")
        if "write" in step:
            if tools.get("apply_patch", {}).get("type") == "custom":
                lines = "\n".join("+" + line for line in step["text"].rstrip("\n").split("\n"))
                patch = "*** Begin Patch\n*** Add File: %s\n%s\n*** End Patch" % (step["write"], lines)
                return dict(call, type="custom_tool_call", name="apply_patch", input=patch)
            command = "cat > '%s' <<'END_OF_TEXT'\n%sEND_OF_TEXT" % (step["write"], step["text"])
        if command:
            shapes = {"exec_command": {"cmd": command}, "shell_command": {"command": command},
                      "shell": {"command": ["bash", "-lc", command]}}
            for name, arguments in shapes.items():
                if name in tools:
                    return dict(call, type="function_call", name=name, arguments=json.dumps(arguments))
        text = step.get("say", "no tool for this step among: " + " ".join(map(str, tools)))
        return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}

    def answer(self, request, results):
        tools = {t.get("name") or t.get("type"): t for t in request.get("tools", [])}
        item = self.item(next_step(results, tools), tools)
        item = dict(item, id="item_" + uuid.uuid4().hex[:16], status="completed")
        usage = {"input_tokens": 1, "input_tokens_details": None, "output_tokens": 1, "output_tokens_details": None,
                 "total_tokens": 2}
        whole = {"id": "resp_" + uuid.uuid4().hex, "object": "response", "status": "completed", "output": [item],
                 "usage": usage}
        events = [
            ("response.created", {"response": {"id": whole["id"]}}),
            ("response.output_item.done", {"output_index": 0, "item": item}),
            ("response.completed", {"response": whole}),
        ]
        return events, whole


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, kind, body, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send("application/json", b'{"data": [], "models": []}')

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        side = {"/v1/messages": Messages, "/v1/responses": Responses}.get(path)
        if side is None:
            return self.send("application/json", b'{"input_tokens": 1}' if path.endswith("count_tokens") else b"{}")
        request = json.loads(body)
        results = side().results(request)
        LOG.write(json.dumps(results) + "\n")
        events, whole = side().answer(request, results)
        if not request.get("stream"):
            return self.send("application/json", json.dumps(whole).encode())
        text = "".join("event: %s\ndata: %s\n\n" % (name, json.dumps(dict(data, type=name))) for name, data in events)
        self.send("text/event-stream", text.encode())


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # an agent that closes a connection early is no failure


server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
