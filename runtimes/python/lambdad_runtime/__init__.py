"""The managed Python runtimes (python3.9 to python3.14): a Runtime API client on the standard library alone.

bootstrap.py   handler lookup, the invocation loop, error reports
client.py      HTTP/1.1 over one kept-alive socket
marshal.py     JSON in and out with AWS's rules
context.py     the `context` argument
logs.py        log sinks; log_setup.py configures `logging` when, and only when, the function imports it
paths.py       sys.path
hooks.py       runs code after chosen modules are imported
sdk.py         endpoint variables for a boto3 that predates them

Start-up time decides what is imported here: `json`, `socket`, `logging`, `traceback` and `re` together take longer than the
interpreter itself, so none of them is loaded before the function or an error asks for it.
"""
