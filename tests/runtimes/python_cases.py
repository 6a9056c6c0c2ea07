"""Functions whose behaviour under AWS's Python client is known and must be the same under ours."""

from harness import Case, invocation
from fake_runtime_api import Invocation

INDEX = "index.py"


def _returns(name, expression, prelude="", **options):
    source = "%s\ndef handler(event, context):\n    return %s\n" % (prelude, expression)
    return Case(name, {INDEX: source}, **options)


CASES = [
    _returns("echo", "event", invocations=[invocation({"a": [1, 2.5, None, True, "x"], "ü": "\u2028 \"q\" \\ \x01"})]),
    _returns("several invocations", "event", invocations=[invocation(n) for n in range(5)]),
    _returns("string", "'text'"),
    _returns("none", "None"),
    _returns("numbers", "[0, -1, 1e300, 1.0, 10**30, True, float('nan'), float('inf'), float('-inf')]"),
    _returns("non-ascii", "{'grüße': '日本 \\U0001f600 \\x7f'}"),
    _returns("non-ascii from 3.12", "{'grüße': '日本 \\U0001f600 \\x7f'}", env={"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}),
    _returns("bytes result", "b'\\x00\\xffraw'"),
    _returns("bytes inside", "{'b': b'text', b'k': [b'x']}"),
    _returns("bytes inside, not text", "{'b': b'\\xff'}"),
    _returns("decimal", "[D('1.10'), D('NaN'), D('Infinity'), D('1E+3'), {'d': D('-0')}]", "from decimal import Decimal as D"),
    _returns("decimal at the top", "D('12.50')", "from decimal import Decimal as D"),
    _returns(
        "named tuple",
        "[P(1, 'y'), {'p': P(P(2, 3), (4,))}]",
        "from collections import namedtuple\nP = namedtuple('P', 'x y')",
    ),
    _returns("odd keys", "{1: 'a', 2.5: 'b', True: 'c', None: 'd', float('inf'): 'e'}"),
    _returns("tuple key", "{(1, 2): 3}"),
    _returns("set", "{'s': {1}}"),
    _returns("object", "object()"),
    _returns("circular", "a", "a = []\na.append(a)"),
    _returns("deep", "a", "a = []\nfor _ in range(200):\n    a = [a]"),
    _returns("enum", "[I.ONE, S.A]", "import enum\nclass I(enum.IntEnum):\n    ONE = 1\nclass S(str, enum.Enum):\n    A = 'a'"),
    _returns("subclasses", "[T('t'), L([1]), O(a=1)]", "class T(str): pass\nclass L(list): pass\nfrom collections import OrderedDict as O"),
    _returns("data class", "C()", "import dataclasses\n@dataclasses.dataclass\nclass C:\n    a: int = 1"),
    Case("no return", {INDEX: "def handler(event, context):\n    pass\n"}),
    Case(
        "exception",
        {INDEX: "def handler(event, context):\n    inner()\n\ndef inner():\n    raise ValueError('bad \\u00e4')\n"},
        [invocation(1), invocation(2)],
    ),
    Case("exception without message", {INDEX: "class Own(Exception): pass\ndef handler(event, context):\n    raise Own()\n"}),
    Case(
        "chained exception",
        {INDEX: "def handler(event, context):\n    try:\n        1/0\n    except Exception as e:\n        raise KeyError('k') from e\n"},
    ),
    Case("multi-line message", {INDEX: "def handler(event, context):\n    raise RuntimeError('one\\ntwo')\n"}),
    Case("handler in a package", {"pkg/__init__.py": "", "pkg/mod.py": "def h(event, context):\n    return __name__\n"}, handler="pkg/mod.h"),
    Case("handler with dots", {"pkg/__init__.py": "", "pkg/mod.py": "def h(event, context):\n    return __name__\n"}, handler="pkg.mod.h"),
    Case("bad handler name", {INDEX: ""}, [], handler="handler", exits=True),
    Case("missing module", {INDEX: ""}, [], handler="nowhere.handler", exits=True),
    Case("missing import", {INDEX: "import not_there\n"}, [], exits=True),
    Case("missing name in import", {INDEX: "from helper import not_there_either\n", "helper.py": ""}, [], exits=True),
    Case("syntax error", {INDEX: "def handler(event, context)\n    pass\n"}, [], exits=True),
    Case("missing handler", {INDEX: "x = 1\n"}, [], exits=True),
    Case("built-in module", {INDEX: ""}, [], handler="sys.handler", exits=True),
    Case("module raises", {INDEX: "def boom():\n    raise OSError('no luck')\nboom()\n"}, [], exits=True),
    Case("module exits", {INDEX: "import sys\nprint('bye')\nsys.exit(3)\n"}, [], exits=True),
    Case("handler exits", {INDEX: "import sys\ndef handler(event, context):\n    sys.exit(7)\n"}, exits=True),
    Case("handler calls exit()", {INDEX: "def handler(event, context):\n    exit(5)\n"}, exits=True),
    Case("handler is no function", {INDEX: "handler = 3\n"}),
    Case("wrong arity", {INDEX: "def handler(event):\n    return 1\n"}),
    _returns("event is not json", "[type(event).__name__, str(event)]", invocations=[Invocation(b"plain", {"Content-Type": "text/plain"})]),
    _returns(
        "context",
        "[context.function_name, context.function_version, context.invoked_function_arn, context.memory_limit_in_mb, "
        "context.aws_request_id, context.log_group_name, context.log_stream_name, str(context.identity), "
        "str(context.client_context), context.tenant_id, 50000 < context.get_remaining_time_in_millis() <= 60000, "
        "str(context)]",
    ),
    _returns(
        "context with client and identity",
        "[context.client_context.custom, context.client_context.env, context.client_context.client.app_title, "
        "context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id, context.tenant_id, "
        "str(context.client_context)]",
        invocations=[
            invocation(
                1,
                headers={
                    "Lambda-Runtime-Client-Context": '{"custom":{"k":"v"},"env":{"e":1},"client":{"app_title":"t"}}',
                    "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}',
                    "Lambda-Runtime-Aws-Tenant-Id": "tenant-1",
                },
            )
        ],
    ),
    _returns(
        "w3c trace context",
        "[context.w3c(), str(context.client_context)]",
        invocations=[
            invocation(1),
            invocation(2, headers={"Lambda-Runtime-Client-Context": '{"custom":1,"w3c":{"traceparent":"00","tracestate":5,"x":"y"}}'}),
            invocation(3, headers={"Lambda-Runtime-Client-Context": '{"w3c":"text"}'}),
        ],
    ),
    _returns("bad client context", "1", invocations=[invocation(1, headers={"Lambda-Runtime-Client-Context": "{nope"})]),
    _returns(
        "trace id",
        "os.environ.get('_X_AMZN_TRACE_ID')",
        "import os\nprint(os.environ.get('_X_AMZN_TRACE_ID'))",
        invocations=[invocation(1), invocation(2), invocation(3, headers={"Lambda-Runtime-Trace-Id": None})],
    ),
    Case(
        "logging",
        {
            INDEX: """
            import logging
            logging.warning('at load %s', 1)
            log = logging.getLogger('mine')
            def handler(event, context):
                print('printed')
                print('two', 'parts', end='|')
                print()
                logging.info('hidden')
                logging.warning('shown')
                log.setLevel('INFO')
                log.info('own logger')
                context.log('raw')
                context.log('line\\n')
                try:
                    1 / 0
                except ZeroDivisionError:
                    logging.exception('caught')
            """
        },
        [invocation(1), invocation(2)],
    ),
    Case("log levels", {INDEX: "import logging\ndef handler(event, context):\n    for l in (5, 10, 20, 30, 40, 50): logging.log(l, 'level %d', l)\n"}, env={"AWS_LAMBDA_LOG_LEVEL": "DEBUG"}),
    Case("log level trace", {INDEX: "import logging\ndef handler(event, context):\n    logging.debug('d')\n"}, env={"AWS_LAMBDA_LOG_LEVEL": "TRACE"}),
    Case(
        "json log",
        {
            INDEX: """
            import logging
            def handler(event, context):
                logging.info('hidden')
                logging.warning('number %d', 3, extra={'order': 7, 'thing': {1, }})
                logging.error({'a': 'dict ü'})
                try:
                    {}['x']
                except KeyError:
                    logging.exception('caught')
                print('plain')
                raise ValueError('end')
            """
        },
        [invocation(1, headers={"Lambda-Runtime-Aws-Tenant-Id": "tenant-1"})],
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"},
    ),
    Case("json log of a failed start", {INDEX: "import not_there\n"}, [], env={"AWS_LAMBDA_LOG_FORMAT": "JSON"}, exits=True),
    Case("level silences the warning", {INDEX: "import not_there\n"}, [], env={"AWS_LAMBDA_LOG_LEVEL": "ERROR"}, exits=True),
    Case("basicConfig does nothing", {INDEX: "import logging\nlogging.basicConfig(level='DEBUG', format='x')\ndef handler(event, context):\n    logging.debug('d'); logging.error('e')\n"}),
    _returns("big event and result", "event * 2", invocations=[invocation("x" * 1_500_000)]),
    _returns(
        "snapstart",
        "seen",
        "from snapshot_restore_py import register_before_snapshot as b, register_after_restore as a\nseen = []\n"
        "b(seen.append, 'b1'); b(seen.append, 'b2'); a(seen.append, 'a1'); a(seen.append, 'a2')",
        env={"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"},
    ),
    Case(
        "snapstart hook fails before",
        {INDEX: "from snapshot_restore_py import *\n@register_before_snapshot\ndef f():\n    raise ValueError('early')\ndef handler(e, c): pass\n"},
        [],
        env={"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"},
        exits=True,
    ),
    Case(
        "snapstart hook fails after",
        {INDEX: "from snapshot_restore_py import *\n@register_after_restore\ndef f():\n    raise ValueError('late')\ndef handler(e, c): pass\n"},
        [],
        env={"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"},
        exits=True,
    ),
]
