"""The second argument of a handler."""

import os
import sys
import time

# W3C trace context that may travel in clientContext.w3c; other members of it are dropped.
_W3C_FIELDS = ("traceparent", "tracestate", "baggage")

_ENVIRONMENT_NAMES = (
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
)
_environment = tuple(map(os.environ.get, _ENVIRONMENT_NAMES))  # the same for every invocation


class _Record:
    """An object whose fields are its slots, shown as AWS's client shows them."""

    __slots__ = ()

    def _fill(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))
        return self

    def __repr__(self):
        return "%s([%s])" % (type(self).__name__, ",".join("%s=%s" % (n, getattr(self, n)) for n in self.__slots__))


class CognitoIdentity(_Record):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self):
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None


class Client(_Record):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Record):
    __slots__ = ("custom", "env", "client")


class LambdaContext:
    def __init__(self, request_id, client_context, cognito_identity, deadline_ms, function_arn, tenant_id):
        self.aws_request_id = request_id
        (
            self.log_group_name,
            self.log_stream_name,
            self.function_name,
            self.memory_limit_in_mb,
            self.function_version,
        ) = _environment
        self.invoked_function_arn = function_arn
        self.tenant_id = tenant_id
        self._w3c_fields = {}
        self.client_context = None
        if client_context is not None:
            self._w3c_fields = _take_w3c(client_context)
            self.client_context = ClientContext()._fill(client_context)
            if self.client_context.client is not None:
                self.client_context.client = Client()._fill(self.client_context.client)
        self.identity = CognitoIdentity()
        if cognito_identity is not None:
            self.identity.cognito_identity_id = cognito_identity.get("cognitoIdentityId")
            self.identity.cognito_identity_pool_id = cognito_identity.get("cognitoIdentityPoolId")
        self._epoch_deadline_time_in_ms = deadline_ms

    def get_remaining_time_in_millis(self):
        """Milliseconds until the invocation times out, never negative."""
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def w3c(self):
        """The W3C trace context that came with the invocation."""
        return dict(self._w3c_fields)

    def log(self, message):
        """Writes `message` to the function's log as it is: no level, no request id, no line end added."""
        logging = sys.modules.get("logging")
        if logging is not None:
            for handler in logging.getLogger().handlers:
                if hasattr(handler, "log_sink"):
                    handler.log_sink.log(str(message))
                    return
        sys.stdout.write(str(message))

    def __repr__(self):
        names = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        return "LambdaContext([%s])" % ",".join("%s=%s" % (name, getattr(self, name)) for name in names)


def _take_w3c(client_context):
    """Removes `w3c` from `client_context` and returns its known string members."""
    if not isinstance(client_context, dict):
        return {}
    w3c = client_context.pop("w3c", None)
    if not isinstance(w3c, dict):
        return {}
    return {name: w3c[name] for name in _W3C_FIELDS if isinstance(w3c.get(name), str)}
