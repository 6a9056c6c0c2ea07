#!/usr/bin/env python3
"""Distils models/<service>.json from botocore: the facts of the published API models, without their prose.

    tools/modelgen/distill.py BOTOCORE

BOTOCORE is a wheel (botocore-1.43.11-py3-none-any.whl) or an unpacked package directory. Its version must be the pinned
one, so that the same command gives the same files. What is kept: operations with their HTTP bindings, every shape they
reach, every error shape; of a shape its type, members, constraints and bindings. A fact that AWS serves but the model
does not carry is not put here by hand: it belongs into models/corrections.json.
"""

import gzip
import json
import pathlib
import re
import sys
import zipfile

PINNED = "1.43.11"
SERVICES = {
    "lambda": "2015-03-31",
    "sqs": "2012-11-05",
    "sts": "2011-06-15",
    "iam": "2010-05-08",
    "logs": "2014-03-28",
    "ecr": "2015-09-21",
    "sns": "2010-03-31",
}
SHAPE_FACTS = ("type", "min", "max", "pattern", "enum", "flattened", "payload", "timestampFormat", "eventstream",
               "streaming", "exception", "fault", "required", "locationName")
MEMBER_FACTS = ("shape", "location", "locationName", "queryName", "flattened", "idempotencyToken", "timestampFormat",
                "jsonvalue", "streaming", "hostLabel", "xmlAttribute", "xmlNamespace", "eventpayload")
OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "models"


class Botocore:
    """Files of a botocore package, from a wheel or a directory."""

    def __init__(self, place):
        self.wheel = zipfile.ZipFile(place) if place.is_file() else None
        self.directory = place

    def read(self, name):
        if self.wheel:
            names = set(self.wheel.namelist())
            if f"botocore/{name}" in names:
                return self.wheel.read(f"botocore/{name}")
            return gzip.decompress(self.wheel.read(f"botocore/{name}.gz"))
        plain = self.directory / name
        if plain.exists():
            return plain.read_bytes()
        return gzip.decompress((self.directory / f"{name}.gz").read_bytes())

    def version(self):
        return re.search(r"__version__ = '([^']+)'", self.read("__init__.py").decode()).group(1)


def member_facts(member):
    return {key: member[key] for key in MEMBER_FACTS if key in member}


def shape_facts(shape):
    facts = {key: shape[key] for key in SHAPE_FACTS if key in shape}
    error = shape.get("error", {})
    if "httpStatusCode" in error:
        facts["status"] = error["httpStatusCode"]
    if "code" in error:
        facts["code"] = error["code"]
    for role in ("member", "key", "value"):
        if role in shape:
            facts[role] = member_facts(shape[role])
    if "members" in shape:
        facts["members"] = {name: member_facts(member) for name, member in shape["members"].items()}
    return facts


def referenced(shape):
    for role in ("member", "key", "value"):
        if role in shape:
            yield shape[role]["shape"]
    for member in shape.get("members", {}).values():
        yield member["shape"]


def distil(service, model):
    metadata = model["metadata"]
    operations, wanted = {}, []
    for name, operation in sorted(model["operations"].items()):
        http = operation["http"]
        facts = {"method": http["method"], "uri": http["requestUri"]}
        if "responseCode" in http:
            facts["status"] = http["responseCode"]
        for side in ("input", "output"):
            if side in operation:
                facts[side] = operation[side]["shape"]
                wanted.append(operation[side]["shape"])
        if "resultWrapper" in operation.get("output", {}):
            facts["resultWrapper"] = operation["output"]["resultWrapper"]
        operations[name] = facts
    wanted += [name for name, shape in model["shapes"].items() if shape.get("exception")]
    kept = set()
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept.add(name)
            wanted += referenced(model["shapes"][name])
    return {
        "service": service,
        "source": f"botocore {PINNED}",
        "apiVersion": metadata["apiVersion"],
        "protocol": metadata["protocol"],
        "jsonVersion": metadata.get("jsonVersion", ""),
        "targetPrefix": metadata.get("targetPrefix", ""),
        "signingName": metadata.get("signingName", metadata["endpointPrefix"]),
        "xmlNamespace": metadata.get("xmlNamespace", ""),
        "operations": operations,
        "shapes": {name: shape_facts(model["shapes"][name]) for name in sorted(kept)},
    }


def line(value):
    return json.dumps(value, ensure_ascii=False)


def write(path, model):
    """One line per operation, per shape and per member: small, and a changed fact is a changed line."""
    blocks = []
    for key, value in model.items():
        if key == "operations":
            lines = [f"  {line(name)}: {line(facts)}" for name, facts in value.items()]
        elif key == "shapes":
            lines = []
            for name, facts in value.items():
                members = facts.pop("members", None)
                if not members:
                    lines.append(f"  {line(name)}: {line(facts)}")
                    continue
                inner = ",\n".join(f"    {line(member)}: {line(of)}" for member, of in members.items())
                lines.append(f'  {line(name)}: {line(facts)[:-1]}, "members": {{\n{inner}}}}}')
        else:
            blocks.append(f"{line(key)}: {line(value)}")
            continue
        blocks.append(f"{line(key)}: {{\n" + ",\n".join(lines) + "\n}")
    path.write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    package = Botocore(pathlib.Path(sys.argv[1]))
    if package.version() != PINNED:
        sys.exit(f"botocore {package.version()} is not the pinned {PINNED}")
    OUTPUT.mkdir(exist_ok=True)
    for service, version in SERVICES.items():
        model = json.loads(package.read(f"data/{service}/{version}/service-2.json"))
        write(OUTPUT / f"{service}.json", distil(service, model))


if __name__ == "__main__":
    main()
