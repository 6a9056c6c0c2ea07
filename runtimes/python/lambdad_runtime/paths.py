"""sys.path of a function.

Order: function code, layers, the customer's PYTHONPATH, the runtime directory (where an operator may install a newer boto3),
the standard library, the interpreter's own site-packages, and Debian's packages last, which are there for boto3 alone
(pure Python; it works with every interpreter from 3.9 to 3.13).
"""

import os
import sys

_DEBIAN_PACKAGES = "/usr/lib/python3/dist-packages"


def set_up(runtime_dir):
    """Replaces sys.path; the interpreter was started with -S, so `site` has not run."""
    library = "lib/python%d.%d/site-packages" % sys.version_info[:2]
    customer = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    standard = [path for path in sys.path if path != runtime_dir and path not in customer]
    layers = ["/opt/python/" + library, "/opt/python"]

    sys.path[:] = [os.environ.get("LAMBDA_TASK_ROOT", "/var/task"), *layers, *customer, runtime_dir, *standard]
    site_packages = _site_packages(library)
    if site_packages:
        sys.path.append(site_packages)
    if os.path.isdir(_DEBIAN_PACKAGES):
        sys.path.append(_DEBIAN_PACKAGES)
    for directory in layers:
        _apply_path_files(directory)
    if customer:
        _import_site_customization()


def _site_packages(library):
    """site-packages of the interpreter or of the virtual environment it was started from; None on Debian's own."""
    for prefix in (os.path.dirname(os.path.dirname(sys.executable)), sys.prefix):
        path = os.path.join(prefix, library)
        if os.path.isdir(path):
            return path
    return None


def _apply_path_files(directory):
    """Layers are site directories: their .pth files count."""
    try:
        names = [name for name in os.listdir(directory) if name.endswith(".pth")]
    except OSError:
        return
    if names:
        import site

        for name in sorted(names):
            site.addpackage(directory, name, set(sys.path))


def _import_site_customization():
    """`sitecustomize` from the customer's PYTHONPATH, which -S skipped; tracing tools start themselves through it."""
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
