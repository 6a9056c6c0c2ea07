#include "sandbox/protocol.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace lambdad::sandbox {
namespace {

TEST(Protocol, ASpecArrivesAsItWasSent) {
  SandboxSpec spec;
  spec.name = "fn-1";
  spec.root = "/image";
  spec.mounts = {{"/a", "/var/task"}, {"/b", "/opt"}};
  spec.links = {{"/node_modules", "/var/runtime/node_modules"}};
  spec.memory_bytes = 5'000'000'000;
  spec.tmp_bytes = 512;
  spec.pids_max = 7;
  spec.cpu_millis = 1500;
  spec.network = NetworkPolicy::kInternet;
  spec.runtime_api_port = 65535;
  spec.endpoint_port = 1;
  Encoder encoder({Op::kCreate, 1234567890123, 7});
  encoder.spec(spec);
  Decoder decoder(encoder.bytes());
  const SandboxSpec got = decoder.spec();
  ASSERT_TRUE(decoder.finish());
  EXPECT_EQ(decoder.header().sandbox, 1234567890123u);
  EXPECT_EQ(decoder.header().run, 7u);
  EXPECT_EQ(got.name, spec.name);
  EXPECT_EQ(got.root, spec.root);
  ASSERT_EQ(got.mounts.size(), 2u);
  EXPECT_EQ(got.mounts[1].source, "/b");
  EXPECT_EQ(got.mounts[1].target, "/opt");
  ASSERT_EQ(got.links.size(), 1u);
  EXPECT_EQ(got.links[0].path, "/node_modules");
  EXPECT_EQ(got.links[0].to, "/var/runtime/node_modules");
  EXPECT_EQ(got.memory_bytes, spec.memory_bytes);
  EXPECT_EQ(got.tmp_bytes, spec.tmp_bytes);
  EXPECT_EQ(got.pids_max, spec.pids_max);
  EXPECT_EQ(got.cpu_millis, spec.cpu_millis);
  EXPECT_EQ(got.network, NetworkPolicy::kInternet);
  EXPECT_EQ(got.runtime_api_port, 65535);
  EXPECT_EQ(got.endpoint_port, 1);
  EXPECT_FALSE(got.provisional);
}

TEST(Protocol, ThePipesOfAProgramAreKnownBeforeItIsRead) {
  for (const bool second : {false, true}) {
    for (const bool control : {false, true}) {
      ProcessSpec process;
      process.second_output = second;
      process.control = control;
      Encoder encoder({Op::kStart, 1, 2});
      encoder.process(process);
      const std::string packet = encoder.bytes();
      Decoder decoder(packet);
      EXPECT_EQ(decoder.pipes().count(), 1u + second + control);
      const ProcessSpec read = decoder.process();
      EXPECT_TRUE(decoder.finish());
      EXPECT_EQ(read.second_output, second);
      EXPECT_EQ(read.control, control);
    }
  }
}

TEST(Protocol, EveryShorterOrLongerPacketIsRefused) {
  ProcessSpec process;
  process.argv = {"/bin/x", ""};
  process.environment = {{"A", "1"}, {"B", std::string("\0\n", 2)}};
  Encoder encoder({Op::kStart, 1, 2});
  encoder.process(process);
  const std::string whole = encoder.bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Decoder decoder(std::string_view(whole).substr(0, size));
    decoder.process();
    EXPECT_FALSE(decoder.finish()) << size;
  }
  const std::string longer = whole + "x";
  Decoder decoder(longer);
  EXPECT_EQ(decoder.process().environment, process.environment);
  EXPECT_FALSE(decoder.finish());
}

TEST(Protocol, AnotherVersionAnUnknownOperationAndAHugeCountAreRefused) {
  std::string bytes = Encoder({Op::kKill, 1, 2}).bytes();
  EXPECT_TRUE(Decoder(bytes).finish());
  std::string other = bytes;
  other[0] = static_cast<char>(kProtocolVersion + 1);
  EXPECT_TRUE(Decoder(other).failed());
  other = bytes;
  other[1] = static_cast<char>(200);
  EXPECT_TRUE(Decoder(other).failed());
  // Four thousand million arguments: refused before anything is allocated for them.
  std::string kept = bytes + std::string("\xff\xff\xff\xff", 4);
  Decoder huge(kept);
  EXPECT_TRUE(huge.process().argv.empty());
  EXPECT_TRUE(huge.failed());
}

TEST(Packets, CarryDescriptorsThatAreCloseOnExec) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
  UniqueFd a(pair[0]), b(pair[1]);
  UniqueFd file(::open("/dev/null", O_RDONLY));
  const int sent = file.get();
  ASSERT_TRUE(send_packet(a.get(), "hello", std::span(&sent, 1), 0));
  auto got = receive_packet(b.get(), MSG_DONTWAIT);
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->bytes, "hello");
  ASSERT_EQ((*got)->descriptors.size(), 1u);
  EXPECT_EQ(::fcntl((*got)->descriptors[0].get(), F_GETFD), FD_CLOEXEC);
  struct stat one{}, other{};
  ::fstat(sent, &one);
  ::fstat((*got)->descriptors[0].get(), &other);
  EXPECT_EQ(one.st_rdev, other.st_rdev);
  auto nothing = receive_packet(b.get(), MSG_DONTWAIT);
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(*nothing);
  EXPECT_EQ(send_packet(a.get(), std::string(kPacketBytesMax + 1, 'x'), {}, 0).error().code, Errc::kTooLarge);
  a.reset();
  auto end = receive_packet(b.get(), 0);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::kClosed);
}

TEST(Packets, AFullSocketIsToldApartFromAClosedOne) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
  UniqueFd a(pair[0]), b(pair[1]);
  const std::string large(kPacketBytesMax, 'x');
  int sent = 0;
  for (; sent < 1000; ++sent) {
    auto result = send_packet(a.get(), large, {}, MSG_DONTWAIT);
    ASSERT_TRUE(result);
    if (!*result) break;
  }
  EXPECT_GE(sent, 1) << "a packet of the largest size must fit into an empty socket";
  EXPECT_LT(sent, 1000);
  b.reset();
  auto closed = send_packet(a.get(), large, {}, MSG_DONTWAIT);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, Errc::kClosed);
}

}  // namespace
}  // namespace lambdad::sandbox
