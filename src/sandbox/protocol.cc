#include "sandbox/protocol.h"

#include <sys/socket.h>

#include <cerrno>

namespace lambdad::sandbox {

namespace {
constexpr std::uint8_t kHasSecondOutput = 1, kHasControl = 2;
}

// --- Encoder --------------------------------------------------------------------------------------------------------

Encoder::Encoder(const Header& header) {
  u8(kProtocolVersion);
  u8(static_cast<std::uint8_t>(header.op));
  u64(header.sandbox);
  u64(header.run);
}

void Encoder::number(std::uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes_.push_back(static_cast<char>(value >> (8 * i)));
}

void Encoder::text(std::string_view value) {
  u32(static_cast<std::uint32_t>(value.size()));
  bytes_.append(value);
}

void Encoder::spec(const SandboxSpec& value) {
  text(value.name);
  text(value.root);
  u32(static_cast<std::uint32_t>(value.mounts.size()));
  for (const auto& mount : value.mounts) {
    text(mount.source);
    text(mount.target);
  }
  u32(static_cast<std::uint32_t>(value.links.size()));
  for (const auto& link : value.links) {
    text(link.path);
    text(link.to);
  }
  u64(value.memory_bytes);
  u64(value.tmp_bytes);
  u32(value.pids_max);
  u32(value.cpu_millis);
  u8(static_cast<std::uint8_t>(value.network));
  u16(value.runtime_api_port);
  u16(value.endpoint_port);
  u8(value.provisional ? 1 : 0);
}

void Encoder::process(const ProcessSpec& value) {
  u8(static_cast<std::uint8_t>((value.second_output ? kHasSecondOutput : 0) | (value.control ? kHasControl : 0)));
  u32(static_cast<std::uint32_t>(value.argv.size()));
  for (const auto& argument : value.argv) text(argument);
  u32(static_cast<std::uint32_t>(value.environment.size()));
  for (const auto& [name, content] : value.environment) {
    text(name);
    text(content);
  }
  text(value.working_directory);
}

void Encoder::exit(const ProcessExit& value) {
  u32(static_cast<std::uint32_t>(value.exit_code));
  u32(static_cast<std::uint32_t>(value.signal));
  u8(value.out_of_memory ? 1 : 0);
}

void Encoder::outcome(const Outcome& value) {
  u8(value ? static_cast<std::uint8_t>(value->code) + 1 : 0);
  text(value ? value->detail : std::string_view{});
}

void Encoder::created(const CreatedReply& value) {
  u16(value.runtime_api_port);
  u16(value.endpoint_port);
  for (bool flag : {value.has_endpoint, value.has_peak_file, value.has_freeze_file, value.freezer_v1,
                    value.has_cpu_file, value.cpu_v2}) {
    u8(flag ? 1 : 0);
  }
}

void Encoder::capabilities(const Capabilities& value) {
  for (bool flag : {value.namespaces, value.seccomp, value.memory_limit, value.pids_limit, value.cpu_limit,
                    value.freezer, value.internet}) {
    u8(flag ? 1 : 0);
  }
  text(value.internet_hint);
  text(value.cgroup_mode);
  u32(static_cast<std::uint32_t>(value.missing.size()));
  for (const auto& line : value.missing) text(line);
}

// --- Decoder --------------------------------------------------------------------------------------------------------

namespace {
bool known(std::uint8_t op) {
  return (op >= static_cast<std::uint8_t>(Op::kCreate) && op <= static_cast<std::uint8_t>(Op::kAssign)) ||
         (op >= static_cast<std::uint8_t>(Op::kCreated) && op <= static_cast<std::uint8_t>(Op::kAssigned)) ||
         op == static_cast<std::uint8_t>(Op::kGo) || op == static_cast<std::uint8_t>(Op::kReady);
}
}  // namespace

Decoder::Decoder(std::string_view packet) : rest_(packet) {
  if (u8() != kProtocolVersion) failed_ = true;
  const std::uint8_t op = u8();
  if (!known(op)) failed_ = true;
  header_.op = static_cast<Op>(op);
  header_.sandbox = u64();
  header_.run = u64();
}

std::uint64_t Decoder::number(int count) {
  if (failed_ || rest_.size() < static_cast<std::size_t>(count)) {
    failed_ = true;
    return 0;
  }
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[static_cast<std::size_t>(i)])) << (8 * i);
  }
  rest_.remove_prefix(static_cast<std::size_t>(count));
  return value;
}

std::uint32_t Decoder::count(std::size_t item_bytes) {
  const std::uint32_t value = u32();
  if (value > rest_.size() / item_bytes) failed_ = true;
  return failed_ ? 0 : value;
}

std::string Decoder::text() {
  const std::uint32_t size = count(1);
  std::string value(rest_.substr(0, size));
  rest_.remove_prefix(size);
  return value;
}

SandboxSpec Decoder::spec() {
  SandboxSpec value;
  value.name = text();
  value.root = text();
  const std::uint32_t mounts = count(8);
  for (std::uint32_t i = 0; i < mounts && !failed_; ++i) {
    ReadOnlyMount mount;
    mount.source = text();
    mount.target = text();
    value.mounts.push_back(std::move(mount));
  }
  const std::uint32_t links = count(8);
  for (std::uint32_t i = 0; i < links && !failed_; ++i) {
    LinkInside link;
    link.path = text();
    link.to = text();
    value.links.push_back(std::move(link));
  }
  value.memory_bytes = u64();
  value.tmp_bytes = u64();
  value.pids_max = u32();
  value.cpu_millis = u32();
  const std::uint8_t network = u8();
  if (network > static_cast<std::uint8_t>(NetworkPolicy::kInternet)) failed_ = true;
  if (!failed_) value.network = static_cast<NetworkPolicy>(network);
  value.runtime_api_port = u16();
  value.endpoint_port = u16();
  const std::uint8_t provisional = u8();
  if (provisional > 1) failed_ = true;
  value.provisional = provisional == 1;
  return value;
}

PipeSet Decoder::pipes() const {
  if (failed_ || rest_.empty()) return {};
  const auto flags = static_cast<unsigned char>(rest_[0]);
  return {.second_output = (flags & kHasSecondOutput) != 0, .control = (flags & kHasControl) != 0};
}

ProcessSpec Decoder::process() {
  ProcessSpec value;
  const PipeSet wanted = pipes();
  if (u8() > (kHasSecondOutput | kHasControl)) failed_ = true;
  value.second_output = wanted.second_output;
  value.control = wanted.control;
  const std::uint32_t arguments = count(4);
  for (std::uint32_t i = 0; i < arguments && !failed_; ++i) value.argv.push_back(text());
  const std::uint32_t variables = count(8);
  for (std::uint32_t i = 0; i < variables && !failed_; ++i) {
    std::string name = text();
    value.environment.emplace_back(std::move(name), text());
  }
  value.working_directory = text();
  return value;
}

ProcessExit Decoder::exit() {
  ProcessExit value;
  value.exit_code = static_cast<int>(u32());
  value.signal = static_cast<int>(u32());
  value.out_of_memory = u8() != 0;
  return value;
}

Outcome Decoder::outcome() {
  const std::uint8_t code = u8();
  std::string detail = text();
  if (code == 0) return std::nullopt;
  if (code - 1 > static_cast<int>(Errc::kInternal)) failed_ = true;
  return Error{static_cast<Errc>(code - 1), std::move(detail)};
}

CreatedReply Decoder::created() {
  CreatedReply value;
  value.runtime_api_port = u16();
  value.endpoint_port = u16();
  for (bool* flag : {&value.has_endpoint, &value.has_peak_file, &value.has_freeze_file, &value.freezer_v1,
                     &value.has_cpu_file, &value.cpu_v2}) {
    *flag = u8() != 0;
  }
  return value;
}

Capabilities Decoder::capabilities() {
  Capabilities value;
  for (bool* flag : {&value.namespaces, &value.seccomp, &value.memory_limit, &value.pids_limit, &value.cpu_limit,
                     &value.freezer, &value.internet}) {
    *flag = u8() != 0;
  }
  value.internet_hint = text();
  value.cgroup_mode = text();
  const std::uint32_t lines = count(4);
  for (std::uint32_t i = 0; i < lines && !failed_; ++i) value.missing.push_back(text());
  return value;
}

// --- packets --------------------------------------------------------------------------------------------------------

Result<bool> send_packet(int socket, std::string_view bytes, std::span<const int> descriptors, int flags) {
  if (bytes.size() > kPacketBytesMax || descriptors.size() > kPacketDescriptorsMax) {
    return fail(Errc::kTooLarge, "a message of {} bytes to or from the keeper; {} are allowed", bytes.size(),
                kPacketBytesMax);
  }
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kPacketDescriptorsMax)] = {};
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket, &message, flags | MSG_NOSIGNAL) >= 0) return true;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return fail(Errc::kClosed, "the peer has ended");
    return system_error(errno, "sending to the keeper or an init");
  }
}

Result<std::optional<Packet>> receive_packet(int socket, int flags) {
  Packet packet;
  ssize_t size;
  do {
    size = ::recv(socket, nullptr, 0, flags | MSG_PEEK | MSG_TRUNC);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
  if (size < 0 && errno != ECONNRESET) return system_error(errno, "receiving from the keeper or an init");
  // No packet of ours is empty, so nothing means the end.
  if (size <= 0) return fail(Errc::kClosed, "the peer has ended");
  packet.bytes.resize(std::min(static_cast<std::size_t>(size), kPacketBytesMax));
  iovec part{packet.bytes.data(), packet.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kPacketDescriptorsMax)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  do {
    size = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return fail(Errc::kClosed, "the peer has ended");
  for (cmsghdr* part_of = CMSG_FIRSTHDR(&message); part_of != nullptr; part_of = CMSG_NXTHDR(&message, part_of)) {
    if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part_of->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part_of) + i * sizeof(int), sizeof fd);
      packet.descriptors.emplace_back(fd);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return fail(Errc::kCorrupt, "a message to or from the keeper is longer than {} bytes", kPacketBytesMax);
  }
  return packet;
}

}  // namespace lambdad::sandbox
