"""Container images made with nothing but Python: layers, OCI layouts, `docker save` archives."""

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OCI = "application/vnd.oci.image."


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files):
    """A tar of {name: bytes, (bytes, mode), ("->", target) or None for a directory}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mtime = 1700000000
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            elif isinstance(content, tuple) and content[0] == "->":
                entry.type, entry.linkname = tarfile.SYMTYPE, content[1]
                tar.addfile(entry)
            else:
                data, entry.mode = content if isinstance(content, tuple) else (content, 0o644)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


class Image:
    """`layers` are tars, the lowest first; `config` is what a Dockerfile says: Entrypoint, Cmd, Env, WorkingDir."""

    def __init__(self, layers, compress="gzip", architecture=ARCHITECTURE, **config):
        self.tars = layers
        pack, suffix = {"gzip": (lambda data: gzip.compress(data, mtime=0), "+gzip"), "none": (lambda data: data, ""),
                        "zstd": (lambda data: subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE,
                                                             check=True).stdout, "+zstd")}[compress]
        self.layers = [pack(tar) for tar in layers]
        self.config = json.dumps({"architecture": architecture, "os": "linux", "config": config,
                                  "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in layers]}}).encode()
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": self.descriptor(OCI + "config.v1+json", self.config),
            "layers": [self.descriptor(OCI + "layer.v1.tar" + suffix, data) for data in self.layers]}).encode()
        self.digest = digest(self.manifest)

    @staticmethod
    def descriptor(media_type, data):
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def blobs(self):
        return {digest(data): data for data in [*self.layers, self.config]}

    def write_layout(self, directory):
        """An OCI layout; skopeo names it oci:DIRECTORY:latest."""
        blobs = Path(directory, "blobs/sha256")
        blobs.mkdir(parents=True)
        for name, data in {**self.blobs(), self.digest: self.manifest}.items():
            (blobs / name.removeprefix("sha256:")).write_bytes(data)
        Path(directory, "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        entry = {**self.descriptor(OCI + "manifest.v1+json", self.manifest),
                 "annotations": {"org.opencontainers.image.ref.name": "latest"}}
        Path(directory, "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        return "oci:%s:latest" % directory


def skopeo(*arguments):
    done = subprocess.run(["skopeo", "--insecure-policy", *map(str, arguments)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=300)
    if done.returncode != 0:
        raise AssertionError("skopeo %s:\n%s%s" % (" ".join(map(str, arguments)), done.stdout, done.stderr))
    return done.stdout
