#!/usr/bin/python3
"""A custom runtime whose responses are streamed: it does what the event says, step by step, inside its response.

The event, or the body of the event of a function URL: {"type": content type, "steps": [step, ...]}. A step is one of
  {"text": s}            write s (with \\u0000 as NUL bytes)
  {"bytes": n}           write n bytes, 64 KiB at a time; with "report": queue URL, tell the queue after each MiB
  {"wait": queue URL}    until a message is in the queue
  {"tell": queue URL}    put a message into the queue
  {"allocate": n}        use n bytes of memory
  {"sleep": seconds} {"exit": status} {"cut": true} {"fail": {...}}   fail: error trailers with this document
An event with "plain" is answered with that value, buffered.
"""
import json
import os
import socket
import time
import urllib.request
from base64 import b64encode

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")


def sqs(operation, **members):
    request = urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL"], json.dumps(members).encode(),
        {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + operation})
    return json.loads(urllib.request.urlopen(request).read() or b"{}")


def exchange(head, body=b""):
    """Sends a request and returns the socket's file, at the response's first line."""
    connection = socket.create_connection((HOST, int(PORT)))
    connection.sendall(head.encode() + b"\r\nHost: api\r\nConnection: close\r\n" + body)
    return connection, connection.makefile("rb")


def read_response(file):
    status = int(file.readline().split()[1])
    headers = {}
    while line := file.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return status, headers, file.read()


def chunk(connection, data):
    connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))


kept = []


def do(step, connection):
    """False: the response ends here without its last chunk."""
    if "text" in step:
        chunk(connection, step["text"].encode())
    if "bytes" in step:
        piece, written = b"b" * 65536, 0
        while written < step["bytes"]:
            chunk(connection, piece[:step["bytes"] - written])
            written += min(len(piece), step["bytes"] - written)
            if "report" in step and written % (1 << 20) == 0:
                sqs("SendMessage", QueueUrl=step["report"], MessageBody=str(written))
    if "wait" in step:
        while not sqs("ReceiveMessage", QueueUrl=step["wait"], WaitTimeSeconds=1).get("Messages"):
            pass
    if "tell" in step:
        sqs("SendMessage", QueueUrl=step["tell"], MessageBody="here")
    if "sleep" in step:
        time.sleep(step["sleep"])
    if "allocate" in step:
        kept.append(bytearray(os.urandom(1) * step["allocate"]))
    if "exit" in step:
        os._exit(step["exit"])
    return "cut" not in step


while True:
    status, headers, body = read_response(exchange("GET /2018-06-01/runtime/invocation/next HTTP/1.1", b"\r\n")[1])
    event = json.loads(body)
    target = "/2018-06-01/runtime/invocation/%s/response" % headers["lambda-runtime-aws-request-id"]
    if "requestContext" in event:
        event = json.loads(event["body"])
    if "plain" in event:
        answer = json.dumps(event["plain"]).encode()
        read_response(exchange("POST %s HTTP/1.1" % target, b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer))[1])
        continue
    connection, file = exchange(
        "POST %s HTTP/1.1\r\nLambda-Runtime-Function-Response-Mode: %s\r\nTransfer-Encoding: chunked\r\nContent-Type: %s\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        % (target, event.get("mode", "streaming"), event.get("type", "application/octet-stream")), b"\r\n")
    trailers = b""
    try:
        for step in event["steps"]:
            if "fail" in step:
                trailers = (b"Lambda-Runtime-Function-Error-Type: Function.Broken\r\nLambda-Runtime-Function-Error-Body: %s\r\n"
                            % b64encode(json.dumps(step["fail"]).encode()))
                break
            if not do(step, connection):
                break
        else:
            step = {}
        if "cut" not in step:
            connection.sendall(b"0\r\n" + trailers + b"\r\n")
            print("answered", read_response(file)[0], flush=True)
    except (BrokenPipeError, ConnectionResetError) as error:
        print("refused", error, flush=True)
    connection.close()
    file.close()
