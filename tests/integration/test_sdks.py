"""One story, told by three SDK families whose serialisers differ: create, wait, invoke, update, publish, route an alias, layers,
policies, pages, errors as types, a streamed response. AWS CLI and boto3 are in the other tests."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import support

CLIENTS = support.ROOT / "tests/integration/clients"
BUILT = support.ROOT / "build/clients"
CODE = """import os, pathlib
def handler(event, context):
    layer = pathlib.Path('/opt/layer.txt')
    return {'n': event['n'] + %d, 'colour': os.environ['COLOUR'], 'layer': layer.read_text() if layer.exists() else None}
"""


def built(name, sources, build):
    """The directory of a client's program, made by build(directory) when its sources are not those of the last time."""
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
    directory = BUILT / name
    stamp = directory / ".sources"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        build(directory)
        stamp.write_text(digest)
    return directory


def run(*command, **options):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=600, **options)


def build_go(directory):
    run("go", "build", "-buildvcs=false", "-o", directory / "client", ".", cwd=CLIENTS / "go", env={**os.environ, "CGO_ENABLED": "0"})


def build_java(directory):
    run("mvn", "-B", "-q", "-Dstyle.color=never", "-f", CLIENTS / "java/pom.xml", "dependency:copy-dependencies",
        "-DincludeScope=runtime", "-DoutputDirectory=%s" % (directory / "lib"))
    run("javac", "-cp", "%s/lib/*" % directory, "-d", directory / "classes", CLIENTS / "java/Client.java")


class Sdks(support.DaemonTest):
    def tell(self, *program):
        name = self.name()
        self._functions.append(name)
        with tempfile.TemporaryDirectory() as work:
            Path(work, "one.zip").write_bytes(support.zipped({"app.py": CODE % 1}))
            Path(work, "two.zip").write_bytes(support.zipped({"app.py": CODE % 100}))
            Path(work, "layer.zip").write_bytes(support.zipped({"layer.txt": "from the layer"}))
            done = subprocess.run([*program, self.daemon.url, name, work], env=support.CLIENT_ENVIRONMENT, capture_output=True, text=True,
                                  timeout=180)
        self.assertEqual((0, "done\n"), (done.returncode, done.stdout), done.stderr)

    def test_go_v2(self):
        directory = built("go", [CLIENTS / "go" / name for name in ("go.mod", "go.sum", "main.go")], build_go)
        self.tell(directory / "client")

    def test_java_v2(self):
        directory = built("java", [CLIENTS / "java" / name for name in ("pom.xml", "Client.java")], build_java)
        self.tell("java", "-cp", "%s/classes:%s/lib/*" % (directory, directory), "Client")

    def test_javascript_v3(self):
        self.tell("node", CLIENTS / "client.mjs")
