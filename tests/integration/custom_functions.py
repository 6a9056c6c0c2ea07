"""Functions built with AWS's own libraries for custom runtimes: the same small function in Go, Rust and C++.

It answers {"n": N} with {"n", "arn", "id", "name", "deadline"}, prints "seen" to its log, and fails with the text of {"fail": TEXT}.
Programs are kept in ~/.cache/lambdad/custom-functions under the hash of their sources. Where the compiler or its registry is not
in reach the test is skipped; with LAMBDAD_REQUIRE_OFFICIAL=1 it fails.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from support import ROOT

SOURCES = Path(__file__).with_name("custom")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))) / "lambdad/custom-functions"
sys.path.append(str(ROOT / "tests/runtimes"))
import official  # noqa: E402  AWS's runtime clients, fetched once


def unavailable(what):
    if os.environ.get("LAMBDAD_REQUIRE_OFFICIAL") == "1":
        raise AssertionError(what)
    raise unittest.SkipTest(what)


def _failure_of(argv, options):
    done = subprocess.run([str(part) for part in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=1200, **options)
    return done.returncode and "%s failed:\n%s" % (argv[0], done.stderr.decode(errors="replace")[-3000:])


def _fetch(*argv, **options):
    failure = _failure_of(argv, options)
    if failure:
        unavailable(failure)


def _compile(*argv, **options):
    failure = _failure_of(argv, options)
    if failure:
        raise AssertionError(failure)


def program(language):
    """The executable for `language`: "go", "rust" or "cpp"."""
    build = {"go": _build_go, "rust": _build_rust, "cpp": _build_cpp}[language]
    sources = SOURCES / language
    digest = hashlib.sha256()
    for path in sorted(path for path in sources.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(sources)).encode() + b"\0" + path.read_bytes())
    made = CACHE / ("%s-%s" % (language, digest.hexdigest()[:16]))
    if not made.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            copy = Path(work) / "source"
            shutil.copytree(sources, copy)
            build(copy).rename(made)
    return made.read_bytes()


def _needs(tool):
    if not shutil.which(tool):
        unavailable(tool + " is not installed")


def _build_go(directory):
    _needs("go")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    _fetch("go", "mod", "download", "github.com/aws/aws-lambda-go", cwd=directory, env=environment)
    _compile("go", "build", "-tags", "lambda.norpc", "-trimpath", "-o", "bootstrap", ".", cwd=directory, env=environment)
    return directory / "bootstrap"


def _build_rust(directory):
    _needs("cargo")
    _fetch("cargo", "fetch", "--locked", cwd=directory)
    _compile("cargo", "build", "--locked", "--jobs", "1", cwd=directory)
    return directory / "target/debug/bootstrap"


def _build_cpp(directory):
    """AWS's library for C++ has no registry of its own; its sources are inside AWS's runtime client for Node.js."""
    client = official.fetch_node_client("20")
    if client is None:
        unavailable("aws-lambda-cpp is not in reach")
    (archive,) = (client / "deps").glob("aws-lambda-cpp-*.tar.gz")
    subprocess.run(["tar", "xf", archive, "-C", directory, "--strip-components=1"], check=True)
    version = (directory / "src/version.cpp.in").read_text()
    for name in ("PROJECT_VERSION_MAJOR", "PROJECT_VERSION_MINOR", "PROJECT_VERSION_PATCH"):
        version = version.replace("@%s@" % name, "0")
    (directory / "src/version.cpp").write_text(version)
    sources = [directory / name for name in ("main.cc", "src/runtime.cpp", "src/logging.cpp", "src/version.cpp")]
    _compile("clang++-19", "-std=c++17", "-O1", "-w", "-I", directory / "include", "-o", directory / "bootstrap", *sources, "-lcurl")
    return directory / "bootstrap"


def python_client_package():
    """{name: (bytes, mode)} of awslambdaric and what it needs, for Debian's Python."""
    directory = official.packages_for("/usr/bin/python3", official.PYTHON_CLIENT)
    if directory is None:
        unavailable("awslambdaric is not in reach")
    return {
        str(path.relative_to(directory)): (path.read_bytes(), 0o644)
        for path in directory.rglob("*")
        if path.is_file() and path.suffix in (".py", ".so") and "tests" not in path.parts
    }
