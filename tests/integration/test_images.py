"""Functions from container images, and the registry inside lambdad, with skopeo and boto3 as clients."""

import base64
import json
import os
import shutil
import socket
import tempfile
from pathlib import Path

import images
import support
from foreign_registry import ForeignRegistry
from images import Image, layer
from support import ROLE, DaemonTest, eventually, native_bootstrap

AWS_HOST = "000000000000.dkr.ecr.us-east-1.amazonaws.com"


def bootstrap_layer(path="app/bootstrap"):
    return layer({path: (native_bootstrap(), 0o755)})


class ImageTest(DaemonTest):
    def setUp(self):
        super().setUp()
        self.ecr = self.daemon.client("ecr")
        self.work = Path(tempfile.mkdtemp(prefix="lambdad-images-"))
        self.addCleanup(shutil.rmtree, self.work)

    def own_daemon(self):
        shared, self.daemon = self.daemon, support.Daemon()

        def give_back():
            self.daemon.close()
            self.daemon = shared
            self.connect()

        self.addCleanup(give_back)
        self.connect()
        return self.daemon

    def connect(self):
        self.ecr, self.lambda_ = self.daemon.client("ecr"), self.daemon.client("lambda")

    def repository(self, **options):
        name = self.name().lower().replace("_", "-")
        self.ecr.create_repository(repositoryName=name, **options)
        self.addCleanup(lambda: self.daemon.alive() and self.remove(name))
        return name

    def remove(self, name):
        ecr = self.daemon.client("ecr")  # a restarted daemon is somewhere else
        try:
            ecr.delete_repository(repositoryName=name, force=True)
        except ecr.exceptions.RepositoryNotFoundException:
            pass

    def credentials(self):
        data = self.ecr.get_authorization_token()["authorizationData"][0]
        self.assertEqual(self.daemon.url, data["proxyEndpoint"])
        return base64.b64decode(data["authorizationToken"]).decode()

    def place(self, repository, tag="latest"):
        return "docker://%s:%s/%s:%s" % (self.daemon.host, self.daemon.port, repository, tag)

    def push(self, image, repository, tag="latest"):
        source = image.write_layout(self.work / os.urandom(4).hex())
        images.skopeo("copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", self.credentials(), source,
                      self.place(repository, tag))
        return "%s/%s:%s" % (AWS_HOST, repository, tag)

    def create(self, uri, wait="function_active_v2", **options):
        name = self.name()
        created = self.lambda_.create_function(FunctionName=name, Role=ROLE, PackageType="Image", Code={"ImageUri": uri}, **options)
        self._functions.append(name)
        if wait:
            self.lambda_.get_waiter(wait).wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
        return name, created

    def update(self, operation, **options):
        answer = operation(**options)
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName=options["FunctionName"],
                                                            WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
        return answer

    def blobs(self, daemon=None):
        return sorted(os.listdir((daemon or self.daemon).data / "images/blobs/sha256"))

    def v2(self, method, path, body=b"", headers=None, credentials=True):
        sent = {"Authorization": "Basic " + base64.b64encode(self.credentials().encode()).decode()} if credentials else {"Authorization": ""}
        return self.daemon.request(method, "/v2/" + path, body, {**sent, **(headers or {})})


class Registry(ImageTest):
    def test_push_and_pull_back_with_skopeo(self):
        repository = self.repository()
        image = Image([layer({"a": b"1" * 100}), layer({"b": os.urandom(3 << 20)})])
        self.push(image, repository, "v1")
        back = self.work / "back"
        images.skopeo("copy", "--preserve-digests", "--src-tls-verify=false", "--src-creds", self.credentials(),
                      self.place(repository, "v1"), "oci:%s:v1" % back)
        names = {entry.name for entry in (back / "blobs/sha256").iterdir()}
        self.assertEqual({name.removeprefix("sha256:") for name in [*image.blobs(), image.digest]}, names)
        listed = json.loads(images.skopeo("list-tags", "--tls-verify=false", "--creds", self.credentials(),
                                          self.place(repository).rsplit(":", 1)[0]))
        self.assertEqual(["v1"], listed["Tags"])

    def test_the_api_shows_what_was_pushed(self):
        repository = self.repository(tags=[{"Key": "team", "Value": "a"}])
        image = Image([layer({"a": b"1"})])
        self.push(image, repository, "v1")
        self.push(image, repository, "v2")
        found = self.ecr.describe_images(repositoryName=repository)["imageDetails"]
        self.assertEqual([(image.digest, ["v1", "v2"])], [(i["imageDigest"], sorted(i["imageTags"])) for i in found])
        self.assertEqual(len(image.config) + sum(map(len, image.layers)), found[0]["imageSizeInBytes"])
        got = self.ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}, {"imageTag": "none"}])
        self.assertEqual(image.manifest.decode(), got["images"][0]["imageManifest"])
        self.assertEqual("ImageNotFound", got["failures"][0]["failureCode"])
        self.assertEqual(2, len(self.ecr.list_images(repositoryName=repository)["imageIds"]))
        described = self.ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
        self.assertEqual("%s:%s/%s" % (self.daemon.host, self.daemon.port, repository), described["repositoryUri"])
        self.assertEqual([{"Key": "team", "Value": "a"}],
                         self.ecr.list_tags_for_resource(resourceArn=described["repositoryArn"])["tags"])
        self.ecr.put_image(repositoryName=repository, imageManifest=image.manifest.decode(), imageTag="v3")
        self.assertEqual({"v1", "v2", "v3"},
                         {i["imageTag"] for i in self.ecr.list_images(repositoryName=repository)["imageIds"]})
        with self.assertRaises(self.ecr.exceptions.RepositoryNotEmptyException):
            self.ecr.delete_repository(repositoryName=repository)

    def test_nothing_without_a_token(self):
        repository = self.repository()
        status, headers, _ = self.v2("GET", "", credentials=False)
        self.assertEqual(401, status)
        self.assertTrue(headers["WWW-Authenticate"].startswith("Basic "))
        wrong = {"Authorization": "Basic " + base64.b64encode(b"AWS:guess").decode()}
        self.assertEqual(401, self.v2("GET", repository + "/tags/list", headers=wrong)[0])
        self.assertEqual(200, self.v2("GET", "")[0])

    def test_uploads_in_chunks_in_one_piece_and_by_mounting(self):
        repository, other = self.repository(), self.repository()
        data = os.urandom(2_500_000)
        name = images.digest(data)

        def begin():
            status, headers, _ = self.v2("POST", repository + "/blobs/uploads/")
            self.assertEqual(202, status)
            return headers["Location"].removeprefix("/v2/")

        place = begin()
        for start in range(0, len(data), 1_000_000):
            piece = data[start:start + 1_000_000]
            status, headers, _ = self.v2("PATCH", place, piece, {"Content-Range": "%d-%d" % (start, start + len(piece) - 1)})
            self.assertEqual((202, "0-%d" % (start + len(piece) - 1)), (status, headers["Range"]))
        self.assertEqual(416, self.v2("PATCH", place, b"again", {"Content-Range": "0-4"})[0])
        self.assertEqual(201, self.v2("PUT", "%s?digest=%s" % (place, name))[0])
        self.assertEqual((200, data), self.v2("GET", "%s/blobs/%s" % (repository, name))[::2])
        status, headers, _ = self.v2("HEAD", "%s/blobs/%s" % (repository, name))
        self.assertEqual((200, str(len(data))), (status, headers["Content-Length"]))
        self.assertEqual(201, self.v2("PUT", "%s?digest=%s" % (begin(), name), data)[0])
        status, _, body = self.v2("PUT", "%s?digest=%s" % (begin(), images.digest(b"other")), data)
        self.assertEqual((400, "DIGEST_INVALID"), (status, json.loads(body)["errors"][0]["code"]))
        self.assertEqual(404, self.v2("PUT", "%s/blobs/uploads/unknown?digest=%s" % (repository, name))[0])

        self.assertEqual(404, self.v2("HEAD", "%s/blobs/%s" % (other, name))[0])
        mount = "%s/blobs/uploads/?mount=%s&from=%s" % (other, name, repository)
        self.assertEqual(201, self.v2("POST", mount)[0])
        self.assertEqual(200, self.v2("HEAD", "%s/blobs/%s" % (other, name))[0])
        self.assertEqual(202, self.v2("POST", mount.replace(name, images.digest(b"x")))[0])

    def test_an_upload_that_was_cut_off_goes_on_where_it_stood(self):
        repository = self.repository()
        data = os.urandom(3_000_000)
        place = "/v2/" + self.v2("POST", repository + "/blobs/uploads/")[1]["Location"].removeprefix("/v2/")
        with socket.create_connection((self.daemon.host, self.daemon.port)) as cut:
            credentials = base64.b64encode(self.credentials().encode()).decode()
            cut.sendall(("PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Length: %d\r\n\r\n"
                         % (place, self.daemon.host, credentials, len(data))).encode() + data[:2_000_000])

        def go_on():
            end = int(self.v2("GET", place.removeprefix("/v2/"))[1]["Range"].split("-")[1])
            start = end + 1 if end else 0
            piece = {"Content-Range": "%d-%d" % (start, len(data) - 1)}
            return start and self.v2("PATCH", place.removeprefix("/v2/"), data[start:], piece)[0] == 202

        eventually("the upload can go on", go_on)
        self.assertEqual(201, self.v2("PUT", "%s?digest=%s" % (place.removeprefix("/v2/"), images.digest(data)))[0])
        self.assertEqual((200, data), self.v2("GET", "%s/blobs/%s" % (repository, images.digest(data)))[::2])

    def test_a_kill_in_the_middle_of_a_push_leaves_nothing_half_there(self):
        daemon = self.own_daemon()
        repository = self.repository()
        place = self.v2("POST", repository + "/blobs/uploads/")[1]["Location"]
        credentials = base64.b64encode(self.credentials().encode()).decode()
        with socket.create_connection((daemon.host, daemon.port)) as half:
            half.sendall(("PUT %s?digest=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Length: 5000000\r\n\r\n"
                          % (place, images.digest(b""), daemon.host, credentials)).encode() + b"x" * 3_000_000)
            eventually("some of it is on disk", lambda: any(
                path.is_file() and path.stat().st_size for path in (daemon.data / "images/blobs").rglob("*")))
            daemon.kill()
        daemon.start()
        self.connect()
        self.assertEqual([], [path for path in (daemon.data / "images/blobs").rglob("*") if path.is_file()])
        image = Image([bootstrap_layer()], Cmd=["/app/bootstrap"])
        self.assertEqual((None, 1), self.invoke(self.create(self.push(image, repository))[0], 1)[:2])

    def test_a_manifest_needs_what_it_refers_to(self):
        repository = self.repository(imageTagMutability="IMMUTABLE")
        image = Image([layer({"a": b"1"})])
        status, _, body = self.v2("PUT", repository + "/manifests/v1", image.manifest,
                                  {"Content-Type": images.OCI + "manifest.v1+json"})
        self.assertEqual((404, "MANIFEST_BLOB_UNKNOWN"), (status, json.loads(body)["errors"][0]["code"]))
        self.assertEqual(400, self.v2("PUT", repository + "/manifests/v1", b"{}")[0])
        self.push(image, repository, "v1")
        self.assertEqual(200, self.v2("HEAD", repository + "/manifests/" + image.digest)[0])
        with self.assertRaises(AssertionError) as caught:
            self.push(Image([layer({"a": b"2"})]), repository, "v1")
        self.assertIn("immutable", str(caught.exception))

    def test_a_large_layer_goes_to_disk_as_it_comes(self):
        repository = self.repository()
        before = self.peak()
        image = Image([layer({"data": os.urandom(96 << 20)})], compress="none")
        self.push(image, repository)
        self.assertLess(self.peak() - before, 48 << 20)

    def peak(self):
        status = Path("/proc/%d/status" % self.daemon.process.pid).read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def test_what_is_deleted_leaves_nothing_behind(self):
        daemon = self.own_daemon()
        repository = self.repository()
        base = layer({"base": os.urandom(1000)})
        first, second = Image([base, bootstrap_layer()], Cmd=["/app/bootstrap"]), Image([base, layer({"x": b"2"})])
        uri = self.push(first, repository, "one")
        self.push(second, repository, "two")
        self.assertEqual(7, len(self.blobs()))
        name, _ = self.create(uri)
        self.assertEqual((None, {"n": 1}), self.invoke(name, {"n": 1})[:2])
        self.ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "one"}, {"imageTag": "two"}])
        eventually("only the function's image is left", lambda: len(self.blobs()) == 4)
        self.assertEqual((None, {"n": 2}), self.invoke(name, {"n": 2})[:2])
        daemon.restart()
        self.connect()
        self.assertEqual((None, {"n": 3}), self.invoke(name, {"n": 3})[:2])
        self.lambda_.delete_function(FunctionName=name)
        eventually("nothing is left", lambda: self.blobs() == [] and
                   [e for e in os.listdir(daemon.data / "images/trees") if not e.startswith(".")] == [])


class Functions(ImageTest):
    def test_an_image_runs(self):
        uri = self.push(Image([bootstrap_layer()], Entrypoint=["/app/bootstrap"]), self.repository())
        name, created = self.create(uri)
        digest = created["CodeSha256"]
        self.assertEqual(("Image", "Pending", 0), (created["PackageType"], created["State"], created["CodeSize"]))
        self.assertNotIn("Runtime", created)
        self.assertNotIn("Handler", created)
        self.assertEqual((None, {"hello": "image"}), self.invoke(name, {"hello": "image"})[:2])
        got = self.lambda_.get_function(FunctionName=name)
        self.assertEqual({"RepositoryType": "ECR", "ImageUri": uri,
                          "ResolvedImageUri": "%s@sha256:%s" % (uri.rsplit(":", 1)[0], digest)}, got["Code"])
        self.assertNotIn("RuntimeVersionConfig", got["Configuration"])

    def test_the_image_and_the_function_say_how_it_runs(self):
        image = Image([bootstrap_layer("usr/bin/tool"), layer({"etc/mine": b"m", "work/here": b"h", "home/app": None})],
                      Entrypoint=["tool", "--image"], Cmd=["from-image"], WorkingDir="/work", User="somebody",
                      Env=["AA=image", "BB=image", "PATH=/usr/bin", "AWS_REGION=image", "LAMBDA_TASK_ROOT=/elsewhere"])
        uri = self.push(image, self.repository())
        look = "/etc/mine:here:/etc/hosts:/etc/resolv.conf:/etc/passwd:/proc/self/stat:/dev/null:/tmp:/usr/bin/python3"
        name, _ = self.create(uri, Environment={"Variables": {"BB": "function", "LOOK": look}})
        seen = self.invoke(name)[1]
        self.assertEqual(["tool", "--image", "from-image"], seen["arguments"])
        self.assertEqual("/work", seen["directory"])
        variables = dict(entry.split("=", 1) for entry in seen["environment"])
        self.assertEqual(("image", "function", "/usr/bin", "us-east-1", "/var/task", name),
                         tuple(variables[k] for k in ("AA", "BB", "PATH", "AWS_REGION", "LAMBDA_TASK_ROOT", "AWS_LAMBDA_FUNCTION_NAME")))
        self.assertNotIn("_HANDLER", variables)
        self.assertEqual({"/etc/mine": True, "here": True, "/etc/hosts": True, "/etc/resolv.conf": True, "/etc/passwd": False,
                          "/proc/self/stat": True, "/dev/null": True, "/tmp": True, "/usr/bin/python3": False}, seen["readable"])

        updated = self.update(self.lambda_.update_function_configuration, FunctionName=name, ImageConfig={
            "EntryPoint": ["/usr/bin/tool"], "Command": ["mine", "too"], "WorkingDirectory": "/etc"})
        self.assertEqual({"EntryPoint": ["/usr/bin/tool"], "Command": ["mine", "too"], "WorkingDirectory": "/etc"},
                         updated["ImageConfigResponse"]["ImageConfig"])
        seen = self.invoke(name)[1]
        self.assertEqual((["/usr/bin/tool", "mine", "too"], "/etc"), (seen["arguments"], seen["directory"]))
        updated = self.update(self.lambda_.update_function_configuration, FunctionName=name, ImageConfig={})
        self.assertNotIn("ImageConfigResponse", updated)
        self.assertEqual("/work", self.invoke(name)[1]["directory"])

    def test_layers_hide_replace_and_link(self):
        lower = layer({"app/bootstrap": (native_bootstrap(), 0o755), "gone": b"1", "dir/old": b"1", "dir/sub/old": b"1",
                       "lib": ("->", "usr/lib"), "usr/lib/real": b"1", "etc": None, "escape": ("->", "../../../../etc")})
        upper = layer({".wh.gone": b"", "dir/.wh..wh..opq": b"", "dir/new": b"2", "lib/through": b"2", "escape/mark": b"2"})
        for compress in ("zstd", "none"):
            uri = self.push(Image([lower, upper], compress=compress, Cmd=["/app/bootstrap"]), self.repository())
            look = "/gone:/dir/old:/dir/sub/old:/dir/new:/usr/lib/through:/lib/real:/etc/mark"
            name, _ = self.create(uri, Environment={"Variables": {"LOOK": look}})
            self.assertEqual({"/gone": False, "/dir/old": False, "/dir/sub/old": False, "/dir/new": True,
                              "/usr/lib/through": True, "/lib/real": True, "/etc/mark": True}, self.invoke(name)[1]["readable"])
        self.assertFalse(Path("/etc/mark").exists())

    def test_another_image_takes_over(self):
        repository = self.repository()
        first = self.push(Image([bootstrap_layer()], Cmd=["/app/bootstrap"], Env=["V=1", "LOOK=/"]), repository, "1")
        second = self.push(Image([bootstrap_layer()], Cmd=["/app/bootstrap"], Env=["V=2", "LOOK=/"]), repository, "2")
        name, created = self.create(first)
        self.assertIn("V=1", self.invoke(name)[1]["environment"])
        dry = self.lambda_.update_function_code(FunctionName=name, ImageUri=second, DryRun=True)
        self.assertNotEqual(created["CodeSha256"], dry["CodeSha256"])
        self.assertIn("V=1", self.invoke(name)[1]["environment"])
        self.update(self.lambda_.update_function_code, FunctionName=name, ImageUri=second)
        self.assertIn("V=2", self.invoke(name)[1]["environment"])
        digest = self.ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "1"}])["imageDetails"][0]["imageDigest"]
        local = "localhost:%s/%s@%s" % (self.daemon.port, repository, digest)
        self.update(self.lambda_.update_function_code, FunctionName=name, ImageUri=local)
        self.assertIn("V=1", self.invoke(name)[1]["environment"])
        self.assertEqual(local, self.lambda_.get_function(FunctionName=name)["Code"]["ImageUri"])

    def test_a_version_keeps_its_image(self):
        daemon = self.own_daemon()
        repository = self.repository()
        first, second = (Image([bootstrap_layer()], Cmd=["/app/bootstrap"], Env=["V=%d" % n, "LOOK=/"]) for n in (1, 2))
        name, created = self.create(self.push(first, repository, "1"), Publish=True)
        self.assertEqual("1", created["Version"])
        uri = self.push(second, repository, "2")
        self.update(self.lambda_.update_function_code, FunctionName=name, ImageUri=uri)
        self.ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "1"}, {"imageTag": "2"}])
        for _ in range(2):
            for qualifier, value in (("1", "V=1"), ("$LATEST", "V=2")):
                answer = self.lambda_.invoke(FunctionName=name, Qualifier=qualifier)
                self.assertIn(value, json.loads(answer["Payload"].read())["environment"])
            daemon.restart()
            self.connect()
        self.assertEqual(first.digest, "sha256:" + self.lambda_.get_function_configuration(FunctionName=name, Qualifier="1")["CodeSha256"])
        self.lambda_.delete_function(FunctionName=name, Qualifier="1")
        eventually("only the image of $LATEST is left", lambda: set(self.blobs()) == {
            each.removeprefix("sha256:") for each in [*second.blobs(), second.digest]})

    def test_an_image_brings_extensions(self):
        image = Image([layer({"app/bootstrap": (native_bootstrap(), 0o755), "opt/extensions": ("->", "/app/programs"),
                              "app/programs/watcher": (native_bootstrap(), 0o755), "app/programs/readme": b"x"})],
                      Cmd=["/app/bootstrap"])
        name, _ = self.create(self.push(image, self.repository()))
        self.assertEqual((None, 3), self.invoke(name, 3)[:2])
        found = self.daemon.client("logs").filter_log_events(logGroupName="/aws/lambda/" + name, filterPattern="EXTENSION")
        self.assertEqual(["EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE]\n"], [e["message"] for e in found["events"]])

    def test_an_index_gives_the_image_of_this_machine(self):
        repository = self.repository()
        image = Image([bootstrap_layer()], Cmd=["/app/bootstrap"])
        other = Image([layer({"x": b"1"})], architecture="s390x")
        for each in (image, other):
            self.push(each, repository, each.digest[7:20])
        index = json.dumps({"schemaVersion": 2, "mediaType": images.OCI + "index.v1+json", "manifests": [
            {**Image.descriptor(images.OCI + "manifest.v1+json", each.manifest), "platform": {"os": "linux", "architecture": arch}}
            for each, arch in ((other, "s390x"), (image, images.ARCHITECTURE))]})
        self.ecr.put_image(repositoryName=repository, imageManifest=index, imageTag="all")
        name, created = self.create("%s/%s:all" % (AWS_HOST, repository))
        self.assertEqual(image.digest, "sha256:" + created["CodeSha256"])
        self.assertEqual((None, 5), self.invoke(name, 5)[:2])
        failures = self.ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": image.digest}])["failures"]
        self.assertEqual("ImageReferencedByManifestList", failures[0]["failureCode"])

    def test_what_is_no_image_is_refused_with_the_words_of_aws(self):
        repository = self.repository()
        uri = self.push(Image([bootstrap_layer()], Cmd=["/app/bootstrap"]), repository)
        foreign = self.push(Image([layer({"x": b"1"})], architecture="s390x"), repository, "foreign")
        cases = [
            ("Source image %s/nowhere:1 does not exist. Provide a valid source image." % AWS_HOST, {"Code": {"ImageUri": AWS_HOST + "/nowhere:1"}}),
            ("Source image %s/%s:no does not exist. Provide a valid source image." % (AWS_HOST, repository), {"Code": {"ImageUri": "%s/%s:no" % (AWS_HOST, repository)}}),
            ("is not valid. Provide a valid source image.", {"Code": {"ImageUri": "%s/%s" % (AWS_HOST, repository)}}),
            ("is not valid. Provide a valid source image.", {"Code": {"ImageUri": "app:latest"}}),
            ("functions run on linux/" + images.ARCHITECTURE, {"Code": {"ImageUri": foreign}}),
            ("Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.", {"Code": {"ImageUri": uri}, "Runtime": "python3.11"}),
            ("Please provide ImageUri when creating a function with packageType Image.", {"Code": {"ZipFile": b"x"}}),
        ]
        for text, options in cases:
            with self.subTest(text), self.assertRaises(self.lambda_.exceptions.InvalidParameterValueException) as caught:
                self.lambda_.create_function(FunctionName=self.name(), Role=ROLE, PackageType="Image", **options)
            self.assertIn(text, str(caught.exception))
        zip_function = self.function("def handler(event, context):\n    return 1\n")
        image_function, _ = self.create(uri)
        for text, operation, options in [
            ("Please don't provide ImageUri when updating a function with packageType Zip.", "code", {"FunctionName": zip_function, "ImageUri": uri}),
            ("Please provide ImageUri when updating a function with packageType Image.", "code", {"FunctionName": image_function, "ZipFile": support.zipped({"a": "b"})}),
            ("PackageType is Zip", "configuration", {"FunctionName": zip_function, "ImageConfig": {"Command": ["x"]}}),
            ("PackageType is Image", "configuration", {"FunctionName": image_function, "Handler": "a.b"}),
        ]:
            with self.subTest(text), self.assertRaises(self.lambda_.exceptions.InvalidParameterValueException) as caught:
                getattr(self.lambda_, "update_function_" + operation)(**options)
            self.assertIn(text, str(caught.exception))

    def test_an_image_that_cannot_be_unpacked_fails(self):
        image = Image([layer({"../../../etc/mark": b"1"})], Cmd=["/x"])
        name, _ = self.create(self.push(image, self.repository()), wait=None)
        def failed():
            found = self.lambda_.get_function_configuration(FunctionName=name)
            return found["State"] != "Pending" and found

        found = eventually("the function failed", failed)
        self.assertEqual(("Failed", "InvalidImage"), (found["State"], found["StateReasonCode"]))
        self.assertIn("'..'", found["StateReason"])

    def test_an_image_that_does_not_start_says_why(self):
        repository = self.repository()
        for config, error_type, text in [
            ({"Cmd": ["/missing"]}, "Runtime.InvalidEntrypoint", "fork/exec /missing: no such file or directory"),
            ({"Cmd": ["/app/text"]}, "Runtime.InvalidEntrypoint", "fork/exec /app/text: permission denied"),
            ({}, "Runtime.InvalidEntrypoint", "neither an entry point nor a command"),
            ({"Cmd": ["/app/bootstrap"], "WorkingDir": "/missing"}, "Runtime.InvalidWorkingDir", "/missing"),
        ]:
            with self.subTest(text):
                image = Image([layer({"app/bootstrap": (native_bootstrap(), 0o755), "app/text": b"x"})], **config)
                name, _ = self.create(self.push(image, repository))
                error, payload, _ = self.invoke(name)
                self.assertEqual(("Unhandled", error_type), (error, payload["errorType"]))
                self.assertIn(text, payload["errorMessage"])

    def test_pushed_images_and_their_functions_survive_a_kill(self):
        daemon = self.own_daemon()
        uri = self.push(Image([bootstrap_layer()], Cmd=["/app/bootstrap"]), self.repository())

        def again():
            daemon.kill()
            daemon.start()
            self.connect()

        again()
        name, _ = self.create(uri)
        again()
        self.assertEqual((None, 1), self.invoke(name, 1)[:2])


class Pulling(ImageTest):
    def registry(self, *arguments, **options):
        registry = ForeignRegistry(*arguments, **options)
        self.addCleanup(registry.close)
        return registry

    def test_an_image_is_pulled_from_another_registry(self):
        image = Image([layer({"x": os.urandom(2 << 20)}), bootstrap_layer()], Cmd=["/app/bootstrap"])
        registry = self.registry({("team/app", "v1"): image})
        name, created = self.create("%s/team/app:v1" % registry.host)
        self.assertEqual(image.digest, "sha256:" + created["CodeSha256"])
        self.assertEqual((None, 7), self.invoke(name, 7)[:2])
        # What is there is not fetched again.
        asked = len(registry.requests)
        self.create("%s/team/app@%s" % (registry.host, image.digest))
        layers = {images.digest(data) for data in image.layers}
        self.assertFalse(layers & {path.rsplit("/", 1)[1] for path in registry.requests[asked:]})

    def test_a_kill_in_the_middle_of_a_create_is_made_good(self):
        image = Image([layer({"x": os.urandom(2 << 20)}), bootstrap_layer()], Cmd=["/app/bootstrap"])
        registry = self.registry({("app", "v1"): image})
        daemon = self.own_daemon()
        registry.open.clear()
        name, _ = self.create("%s/app:v1" % registry.host, wait=None)
        eventually("a layer is asked for", lambda: any(
            "/elsewhere/" + images.digest(data) in registry.requests for data in image.layers))
        daemon.kill()
        daemon.start()
        self.connect()
        self.assertEqual("Pending", self.lambda_.get_function_configuration(FunctionName=name)["State"])
        registry.open.set()
        self.lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
        self.assertEqual((None, 9), self.invoke(name, 9)[:2])

    def test_a_registry_that_refuses_lies_or_is_not_there(self):
        good = Image([bootstrap_layer()], Cmd=["/app/bootstrap"])
        lying = Image([layer({"x": b"lie"})], Cmd=["/x"])
        registry = self.registry({("closed", "1"): good, ("lying", "1"): lying}, closed=["closed"],
                                 broken=[images.digest(lying.layers[0])])
        with self.assertRaises(self.lambda_.exceptions.ClientError) as caught:
            self.create("%s/closed:1" % registry.host)
        self.assertEqual("AccessDeniedException", caught.exception.response["Error"]["Code"])
        with self.assertRaises(self.lambda_.exceptions.InvalidParameterValueException) as caught:
            self.create("%s/lying:2" % registry.host)
        self.assertIn("does not exist", str(caught.exception))
        with self.assertRaises(self.lambda_.exceptions.InvalidParameterValueException) as caught:
            self.create("127.0.0.1:1/app:1")
        self.assertIn("cannot be reached", str(caught.exception))
        name, _ = self.create("%s/lying:1" % registry.host, wait=None)
        found = eventually("the function failed", lambda: self.lambda_.get_function_configuration(FunctionName=name)["State"] != "Pending" and
                           self.lambda_.get_function_configuration(FunctionName=name))
        self.assertEqual(("Failed", "InvalidImage"), (found["State"], found["StateReasonCode"]))


class Archives(ImageTest):
    def upload(self, archive, name, **headers):
        status, _, body = self.daemon.request("PUT", "/_lambdad/images?name=" + name, archive, {"Authorization": "", **headers})
        return status, json.loads(body)

    def docker_save(self, image, entries=1):
        config = images.digest(image.config).removeprefix("sha256:") + ".json"
        layers = {"%d/layer.tar" % number: tar for number, tar in enumerate(image.tars)}
        manifest = [{"Config": config, "RepoTags": ["app:v1"], "Layers": list(layers)}] * entries
        return layer({config: image.config, **layers, "repositories": b"{}", "manifest.json": json.dumps(manifest).encode()})

    def test_an_archive_of_docker_save_becomes_a_function(self):
        image = Image([layer({"big": os.urandom(3 << 20)}), bootstrap_layer()], Cmd=["/app/bootstrap"])
        name = self.name().lower().replace("_", "-")
        self.addCleanup(self.remove, name)
        status, answer = self.upload(self.docker_save(image), name + ":v1")
        self.assertEqual((201, "%s/%s:v1" % (AWS_HOST, name)), (status, answer.get("imageUri")), answer)
        function, created = self.create(answer["imageUri"])
        self.assertEqual(answer["digest"], "sha256:" + created["CodeSha256"])
        self.assertEqual((None, [1]), self.invoke(function, [1])[:2])

    def test_an_oci_layout_as_skopeo_writes_it(self):
        image = Image([bootstrap_layer()], Cmd=["/app/bootstrap"])
        source = image.write_layout(self.work / "layout")
        name = self.name().lower().replace("_", "-")
        self.addCleanup(self.remove, name)
        for kind in ("oci-archive", "docker-archive"):
            archive = self.work / kind
            images.skopeo("copy", source, "%s:%s:app:v1" % (kind, archive))
            status, answer = self.upload(archive.read_bytes(), "%s:%s" % (name, kind))
            self.assertEqual(201, status, answer)
            self.assertEqual((None, kind), self.invoke(self.create(answer["imageUri"])[0], kind)[:2])

    def test_what_is_no_archive_of_an_image_is_refused(self):
        image = Image([layer({"a": b"1"})])
        before = self.blobs()
        for archive, text in [(b"nothing", "damaged"), (layer({"a": b"1"}), "neither index.json"),
                              (self.docker_save(image, 2), "2 images"),
                              (layer({"manifest.json": b'[{"Config":"../../etc/passwd","Layers":[]}]'}), "lacks a part")]:
            with self.subTest(text):
                status, answer = self.upload(archive, "app-refused:v1")
                self.assertEqual(400, status, answer)
                self.assertIn(text, answer["message"])
        self.assertEqual(400, self.upload(self.docker_save(image), "Not%20A%20Name")[0])
        self.assertEqual(403, self.upload(self.docker_save(image), "app-refused:v1", Origin="http://evil.example")[0])
        eventually("nothing of them is left", lambda: self.blobs() == before)
