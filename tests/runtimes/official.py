"""AWS's own runtime clients, fetched for comparison.

Kept in $LAMBDAD_OFFICIAL_CLIENTS (default ~/.cache/lambdad/official-clients) and reused. Each function returns what to run, or
None when it cannot be had; with LAMBDAD_REQUIRE_OFFICIAL=1 (set it in CI) it raises instead, so that a comparison cannot
silently stop happening.
"""

import os
import subprocess
import tempfile
from pathlib import Path

PYTHON_CLIENT = "awslambdaric==4.2.2"
PYTHON_39_CLIENT = "awslambdaric==4.0.4"  # the last for Python 3.9
NODE_CLIENTS = {"20": "aws-lambda-ric@3.3.0", "24": "aws-lambda-ric@4.0.2"}

_LAUNCH_PYTHON = (
    "import os, sys; sys.path.insert(0, os.environ['LAMBDA_TASK_ROOT']); "
    "from awslambdaric.__main__ import main; main(['', os.environ['_HANDLER']])"
)


def _cache():
    default = os.path.expanduser("~/.cache/lambdad/official-clients")
    path = Path(os.environ.get("LAMBDAD_OFFICIAL_CLIENTS", default))
    path.mkdir(parents=True, exist_ok=True)
    return path


def _unavailable(what, error):
    output = getattr(error, "stderr", b"") or b""
    text = "%s is not available: %s\n%s" % (what, error, output.decode(errors="replace")[-2000:])
    if os.environ.get("LAMBDAD_REQUIRE_OFFICIAL") == "1":
        raise AssertionError(text)
    print(text)
    return None


def _fetch(directory, what, make):
    """Makes `directory` by make(temporary directory) unless it is there; None when that fails."""
    if not directory.exists():
        with tempfile.TemporaryDirectory(dir=directory.parent) as work:
            try:
                make(Path(work) / "made")
            except (OSError, subprocess.SubprocessError) as error:
                return _unavailable(what, error)
            (Path(work) / "made").rename(directory)
    return directory


def _call(*argv, **options):
    subprocess.run([str(part) for part in argv], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, **options)


def _version(python):
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def packages_for(python, *requirements):
    """A directory with PyPI packages for the interpreter `python`, or None."""
    name = "-".join(["python" + _version(python), *(item.replace("==", "-") for item in requirements)])

    def make(target):
        # Some interpreters come without pip: any other one's pip can fetch for them.
        options = ("--quiet", "--disable-pip-version-check", "--target", target)
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            _call(python, "-m", "pip", "install", *options, *requirements)
        else:
            pip = ("--python-version", _version(python), "--only-binary", ":all:")
            _call("python3", "-m", "pip", "install", *options, *pip, *requirements)

    return _fetch(_cache() / name, ", ".join(requirements), make)


def python_argv(python):
    """The command line of AWS's Python client on the interpreter `python`, or None."""
    directory = packages_for(python, PYTHON_39_CLIENT if _version(python) == "3.9" else PYTHON_CLIENT)
    if directory is None:
        return None
    return [python, "-c", "import sys; sys.path.append(%r); %s" % (str(directory), _LAUNCH_PYTHON)]


def fetch_node_client(generation):
    """The directory of AWS's Node client of `generation`, or None."""
    package = NODE_CLIENTS[generation]

    def make(target):
        target.mkdir()
        (target / "package.json").write_text("{}")
        _call("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", package, cwd=target)

    directory = _fetch(_cache() / package, package, make)
    return directory and directory / "node_modules/aws-lambda-ric"


def node_argv(node, generation):
    """The command line of AWS's Node client of `generation` on `node`, or None."""
    directory = fetch_node_client(generation)
    if directory is None:
        return None
    launcher = Path(__file__).with_name("official_node.mjs")
    return [node, str(launcher), str(directory)]
