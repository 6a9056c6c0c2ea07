#include "services/ecr/ecr_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "package/test_image.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::ecr {
namespace {

using package::ImageBlobs;
using package::TestImage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kAccount = "111122223333";

/// The service on virtual time, spoken to as clients do.
class EcrTest : public ::testing::Test {
 protected:
  EcrTest() : sim_(test_seed()) { start(); }
  ~EcrTest() override { stop(); }

  void start() {
    auto opened = store::Database::open(sim_.loop(), sim_.directory() + "/ecr.db", EcrService::migrations(),
                                        {.durability = store::Durability::kEphemeral});
    ASSERT_TRUE(opened) << opened.error().detail;
    database_ = std::move(*opened);
    images_ = std::make_unique<package::ImageStore>(sim_.system(), null_logger(), sim_.directory() + "/images");
    service_ = std::make_unique<EcrService>(sim_.system(), null_logger(), *database_, *images_,
                                            ArchiveUpload::Options{std::string(kAccount), "us-east-1"});
    dispatcher_ = std::make_unique<aws::Dispatcher>(sim_.system(), null_logger(), metrics_, aws::Dispatcher::Options{});
    ASSERT_TRUE(run(images_->start()));
    ASSERT_TRUE(run(service_->start()));
    service_->serve(*dispatcher_);
    images_->collect_later();
    run(images_->settle());
  }
  void stop() {
    run(images_->stop());
    dispatcher_.reset();
    service_.reset();
    images_.reset();
    database_.reset();
  }
  template <class T>
  T run(Async<T> task) {
    return sim_.run(as_activity(&sim_.activity(), std::move(task)));
  }
  template <class T>
  static Async<T> as_activity(Activity* activity, Async<T> task) {
    auto token = activity->begin();
    co_return co_await std::move(task);
  }

  json::Value call(const std::string& operation, json::Object input, int status = 200) {
    http::Request request{.method = "POST", .target = "/", .body = json::serialize(json::Value(std::move(input)))};
    request.headers.set("Host", "127.0.0.1:4566");
    request.headers.set("Content-Type", "application/x-amz-json-1.1");
    request.headers.set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921." + operation);
    request.headers.set("X-Amz-Date", "20260101T000000Z");
    request.headers.set("Authorization",
                        fmt::format("AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/ecr/aws4_request, "
                                    "SignedHeaders=host;x-amz-date, Signature={:064x}",
                                    kAccount, 0));
    auto response = run(dispatcher_->handle(std::move(request)));
    EXPECT_EQ(response.status, status) << operation << ": " << response.body;
    return json::parse(response.body).value_or(json::Value());
  }
  static std::string text(const json::Value& value, std::string_view key) {
    const json::Value* found = value.find(key);
    return found != nullptr && found->if_string() != nullptr ? *found->if_string() : "";
  }
  std::string authorization() {
    const auto answer = call("GetAuthorizationToken", {});
    return "Basic " + text(answer.find("authorizationData")->if_array()->front(), "authorizationToken");
  }
  http::Response v2(std::string method, const std::string& path, std::string body = {}, http::Headers headers = {}) {
    http::Request request{
        .method = std::move(method), .target = "/v2/" + path, .headers = std::move(headers), .body = std::move(body)};
    request.headers.set("Host", "127.0.0.1:4566");
    if (!request.headers.contains("Authorization")) request.headers.set("Authorization", authorization());
    EXPECT_TRUE(Distribution::is_for_registry(request));
    return run(service_->distribution().handle(std::move(request)));
  }
  static std::string code(const http::Response& response) {
    auto document = json::parse(response.body);
    const json::Value* errors = document ? document->find("errors") : nullptr;
    return errors == nullptr ? "" : text(errors->if_array()->front(), "code");
  }
  void upload(const std::string& repository, const std::string& blob) {
    auto begun = v2("POST", repository + "/blobs/uploads/");
    ASSERT_EQ(begun.status, 202);
    const std::string place = begun.headers.get_or("Location", "").substr(4);
    EXPECT_EQ(v2("PUT", place + "?digest=" + package::image_digest_of(blob), blob).status, 201);
  }
  void push(const std::string& repository, const TestImage& image, const std::string& tag) {
    for (const std::string& layer : image.layers) upload(repository, layer);
    upload(repository, image.config);
    http::Headers headers{{"Content-Type", std::string(package::media_type::kOciManifest)}};
    EXPECT_EQ(v2("PUT", repository + "/manifests/" + tag, image.manifest, headers).status, 201);
  }
  void create(const std::string& name, json::Object more = {}) {
    more.set("repositoryName", name);
    call("CreateRepository", std::move(more));
  }
  bool has_blob(std::string_view bytes) {
    run(images_->settle());
    return images_->blobs().has(package::image_digest_of(bytes));
  }

  SimSystem sim_;
  Metrics metrics_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<package::ImageStore> images_;
  std::unique_ptr<EcrService> service_;
  std::unique_ptr<aws::Dispatcher> dispatcher_;
};

TEST_F(EcrTest, RepositoriesAndImagesSurviveARestart) {
  create("app/one", {{"imageTagMutability", "IMMUTABLE"}});
  const TestImage image({"layer"});
  push("app/one", image, "v1");
  const std::string before = authorization();
  stop();
  start();
  auto manifest = v2("GET", "app/one/manifests/v1", {}, {{"Authorization", before}});
  EXPECT_EQ(manifest.status, 200) << "the token is good for twelve hours, whatever happens to the process";
  EXPECT_EQ(manifest.body, image.manifest);
  EXPECT_EQ(manifest.headers.get("Docker-Content-Digest"), image.digest());
  EXPECT_EQ(v2("GET", "app/one/blobs/" + package::image_digest_of("layer")).body, "layer");
  const auto described = call("DescribeRepositories", {});
  EXPECT_EQ(text(described.find("repositories")->if_array()->front(), "imageTagMutability"), "IMMUTABLE");
}

TEST_F(EcrTest, ATokenIsForItsAccountAndForTwelveHours) {
  create("mine");
  const std::string token = authorization();
  EXPECT_EQ(v2("GET", "", {}, {{"Authorization", token}}).status, 200);
  sim_.run_for(12h);
  auto late = v2("GET", "", {}, {{"Authorization", token}});
  EXPECT_EQ(late.status, 401);
  EXPECT_THAT(late.headers.get_or("WWW-Authenticate", ""), HasSubstr("Basic"));
  const auto other = call("GetAuthorizationToken", {{"registryIds", json::Array{"999900001111"}}});
  const std::string foreign =
      "Basic " + text(other.find("authorizationData")->if_array()->front(), "authorizationToken");
  EXPECT_EQ(code(v2("GET", "mine/tags/list", {}, {{"Authorization", foreign}})), "NAME_UNKNOWN");
  for (const std::string& bad :
       {std::string("Basic !"), "Basic " + base64_encode("AWS:"), "Bearer " + token,
        "Basic " + base64_encode("AWS:" + base64_encode("111122223333/us-east-1/9999999999/0"))}) {
    EXPECT_EQ(v2("GET", "", {}, {{"Authorization", bad}}).status, 401) << bad;
  }
}

TEST_F(EcrTest, LayersGoWithTheLastImageThatHasThem) {
  create("rr");
  push("rr", TestImage({"shared", "first"}), "1");
  push("rr", TestImage({"shared", "second"}), "2");
  call("BatchDeleteImage", {{"repositoryName", "rr"}, {"imageIds", json::Array{json::Object{{"imageTag", "1"}}}}});
  EXPECT_FALSE(has_blob("first"));
  EXPECT_TRUE(has_blob("shared"));
  EXPECT_EQ(v2("HEAD", "rr/blobs/" + package::image_digest_of("first")).status, 404);
  call("DeleteRepository", {{"repositoryName", "rr"}}, 400);
  call("DeleteRepository", {{"repositoryName", "rr"}, {"force", true}});
  EXPECT_FALSE(has_blob("shared"));
}

TEST_F(EcrTest, ALayerThatNoImageTookGoesAfterADay) {
  create("rr");
  upload("rr", "given up");
  sim_.run_for(23h);
  push("rr", TestImage({"one"}), "1");
  EXPECT_TRUE(has_blob("given up"));
  sim_.run_for(2h);
  push("rr", TestImage({"two"}), "2");
  EXPECT_FALSE(has_blob("given up"));
  EXPECT_TRUE(has_blob("one"));
}

TEST_F(EcrTest, DeletingATagLeavesTheImageToItsOtherTags) {
  create("rr");
  const TestImage image({"l"});
  push("rr", image, "a");
  push("rr", image, "b");
  auto remove = [&](std::string_view tag) {
    return call("BatchDeleteImage",
                {{"repositoryName", "rr"}, {"imageIds", json::Array{json::Object{{"imageTag", tag}}}}});
  };
  remove("a");
  EXPECT_EQ(v2("HEAD", "rr/manifests/b").status, 200);
  EXPECT_EQ(v2("HEAD", "rr/manifests/a").status, 404);
  remove("b");
  EXPECT_EQ(v2("HEAD", "rr/manifests/" + image.digest()).status, 404);
  EXPECT_EQ(text(remove("b").find("failures")->if_array()->front(), "failureCode"), "ImageNotFound");
}

TEST_F(EcrTest, AnUploadIsRefusedWhenItsBytesAreNotThoseOfItsDigest) {
  create("rr");
  auto begun = v2("POST", "rr/blobs/uploads/");
  const std::string place = begun.headers.get_or("Location", "").substr(4);
  EXPECT_EQ(v2("PATCH", place, "abc", {{"Content-Range", "0-2"}}).headers.get("Range"), "0-2");
  EXPECT_EQ(v2("PATCH", place, "xyz", {{"Content-Range", "9-11"}}).status, 416);
  EXPECT_EQ(v2("GET", place).headers.get("Range"), "0-2");
  EXPECT_EQ(code(v2("PUT", place + "?digest=" + package::image_digest_of("abd"))), "DIGEST_INVALID");
  EXPECT_EQ(code(v2("PATCH", place, "more")), "BLOB_UPLOAD_UNKNOWN");
  auto cancelled = v2("POST", "rr/blobs/uploads/");
  const std::string other = cancelled.headers.get_or("Location", "").substr(4);
  EXPECT_EQ(v2("DELETE", other).status, 204);
  EXPECT_EQ(v2("GET", other).status, 404);
  EXPECT_EQ(v2("POST", "rr/blobs/uploads/?digest=" + package::image_digest_of("whole"), "whole").status, 201);
}

TEST_F(EcrTest, PathsThatAreNoneOfTheApiAreRefused) {
  create("rr");
  for (const char* path : {"rr/nothing", "rr/blobs/sha256:abc/x", "rr/manifests/a/b", "/manifests/x", "..//blobs/x"}) {
    const auto response = v2("GET", path);
    EXPECT_GE(response.status, 400) << path;
    EXPECT_LT(response.status, 500) << path;
  }
  EXPECT_EQ(code(v2("GET", "RR/tags/list")), "NAME_INVALID");
  EXPECT_EQ(code(v2("GET", "absent/tags/list")), "NAME_UNKNOWN");
  EXPECT_EQ(v2("DELETE", "rr/blobs/" + package::image_digest_of("x")).status, 405);
  EXPECT_EQ(code(v2("PUT", "rr/manifests/v1", "{}")), "MANIFEST_INVALID");
  EXPECT_EQ(code(v2("PUT", "rr/manifests/-bad", "{}")), "TAG_INVALID");
}

TEST_F(EcrTest, ListsPageByPage) {
  create("rr");
  const TestImage image({"l"});
  for (const char* tag : {"a", "b", "c"}) push("rr", image, tag);
  const auto first = v2("GET", "rr/tags/list?n=2");
  EXPECT_EQ(first.body, R"({"name":"rr","tags":["a","b"]})");
  EXPECT_THAT(first.headers.get_or("Link", ""), HasSubstr("last=b"));
  const auto second = v2("GET", "rr/tags/list?n=2&last=b");
  EXPECT_EQ(second.body, R"({"name":"rr","tags":["c"]})");
  EXPECT_FALSE(second.headers.contains("Link"));
  create("qq");
  EXPECT_EQ(v2("GET", "_catalog").body, R"({"repositories":["qq","rr"]})");
  auto page = call("ListImages", {{"repositoryName", "rr"}, {"maxResults", 2}});
  ASSERT_EQ(page.find("imageIds")->if_array()->size(), 2u);
  page = call("ListImages", {{"repositoryName", "rr"}, {"maxResults", 2}, {"nextToken", text(page, "nextToken")}});
  EXPECT_EQ(page.find("imageIds")->if_array()->size(), 1u);
  EXPECT_EQ(page.find("nextToken"), nullptr);
}

TEST_F(EcrTest, WhatIsNotServedIsRefusedByName) {
  const auto scanning =
      call("CreateRepository",
           {{"repositoryName", "r-1"}, {"imageScanningConfiguration", json::Object{{"scanOnPush", true}}}}, 501);
  EXPECT_THAT(json::serialize(scanning), HasSubstr("scanOnPush"));
  EXPECT_THAT(
      json::serialize(call("PutLifecyclePolicy", {{"repositoryName", "r-1"}, {"lifecyclePolicyText", "{}"}}, 501)),
      HasSubstr("PutLifecyclePolicy"));
  call("CreateRepository", {{"repositoryName", "Upper"}}, 400);
}

}  // namespace
}  // namespace lambdad::ecr
