"""AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE> for a botocore that does not know them.

botocore learned these variables in 1.31.0; Debian 12 ships 1.29. Called after `botocore.session` was imported, `configure`
makes client creation take its default endpoint from them in an older botocore and leaves a newer one alone. As in
botocore: an explicit endpoint_url wins, then the variable of the service, then the general one;
AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true turns both off; empty values count as unset.
"""

import os

_FIRST_VERSION_WITH_ENDPOINT_VARIABLES = (1, 31, 0)
_VARIABLE = "AWS_ENDPOINT_URL"


def configure(botocore_session):
    import botocore

    version = tuple(int(part) for part in botocore.__version__.split(".")[:3] if part.isdigit())
    if version >= _FIRST_VERSION_WITH_ENDPOINT_VARIABLES:
        return
    session_class = botocore_session.Session
    create_client = session_class.create_client

    def create_client_with_endpoint_variables(
        self, service_name, region_name=None, api_version=None, use_ssl=True, verify=None, endpoint_url=None, *args, **kwargs
    ):
        if endpoint_url is None:
            endpoint_url = _endpoint_from_environment(self, service_name, api_version)
        return create_client(
            self, service_name, region_name, api_version, use_ssl, verify, endpoint_url, *args, **kwargs
        )

    create_client_with_endpoint_variables.__wrapped__ = create_client
    create_client_with_endpoint_variables.__name__ = create_client.__name__
    create_client_with_endpoint_variables.__doc__ = create_client.__doc__
    session_class.create_client = create_client_with_endpoint_variables


def _endpoint_from_environment(session, service_name, api_version):
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    if any(name.startswith(_VARIABLE + "_") for name in os.environ):
        own = os.environ.get("%s_%s" % (_VARIABLE, _service_suffix(session, service_name, api_version)))
        if own:
            return own
    return os.environ.get(_VARIABLE) or None


def _service_suffix(session, service_name, api_version):
    """The service id of the model in upper case with underscores: `CLOUDWATCH_LOGS` for "logs"."""
    loader = session.get_component("data_loader")
    model = loader.load_service_model(service_name, "service-2", api_version=api_version)
    service_id = model["metadata"].get("serviceId") or service_name
    return service_id.replace(" ", "_").replace("-", "_").upper()
