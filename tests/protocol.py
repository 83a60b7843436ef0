# SPDX-License-Identifier: BSD-2-Clause
"""A client of Trivet's JSON protocol (docs/pages/json.md), over any two functions that send text
and give the next line. The whole-machine tests use it; it is small enough to be copied.

    client = Client(send, read_line)
    client.open()                           # `json on`; checks the protocol's number
    client.call("start web")["state"]       # "running", or Refused with .code and .message
    client.events                           # what came between: dictionaries, oldest first
"""
import json
import time

PROTOCOL = 1


class Refused(Exception):
    """An answer that is none: code is for programs, message for people."""

    def __init__(self, command, error):
        super().__init__(f"`{command}` was refused: {error['message']} ({error['code']})")
        self.code, self.message = error["code"], error["message"]


class Broken(Exception):
    """What came is not the protocol."""


class Client:
    def __init__(self, send, read_line):
        """send(text); read_line(seconds) returns a line or raises when none comes in time."""
        self.send, self.read_line = send, read_line
        self.events, self.greeting, self.requests = [], None, 0

    def take(self, line):
        """One line: an answer, or None for what is not: events are kept, other text is not."""
        if not line.startswith("{"):
            return None
        try:
            value = json.loads(line)
        except ValueError as error:
            raise Broken(f"no JSON: {line!r}: {error}") from error
        if "event" in value:
            if value["event"] == "hello":
                self.greeting = value
            self.events.append(value)
            return None
        if "ok" not in value:
            raise Broken(f"neither an answer nor an event: {line!r}")
        return value

    def ask(self, command, seconds=30):
        """The answer to a command, also where it is a refusal: answers to earlier ones, which
        nobody waited for, are passed over."""
        self.requests += 1
        mark = f"r{self.requests}"
        end = time.monotonic() + seconds
        self.send(f"@{mark} {command}\r")
        while True:
            answer = self.take(self.read_line(max(0.1, end - time.monotonic())).strip())
            # a line that is refused whole has neither
            if answer and (answer["id"] == mark or not answer["id"] and not answer["command"]):
                return answer

    def call(self, command, seconds=30):
        """The answer to a command that must succeed."""
        answer = self.ask(command, seconds)
        if not answer["ok"]:
            raise Refused(command, answer["error"])
        return answer

    def open(self, seconds=30):
        """Turns the protocol on where it is not, and checks that it is this one."""
        end = time.monotonic() + seconds
        self.send("json on\r")
        while True:
            answer = self.take(self.read_line(max(0.1, end - time.monotonic())).strip())
            if answer and answer["command"] == "json":
                break
        if self.greeting and self.greeting["protocol"] != PROTOCOL:
            raise Broken(f"protocol {self.greeting['protocol']}; this client speaks {PROTOCOL}")
        return self
