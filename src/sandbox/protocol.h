/// What the daemon, the keeper and the init of a sandbox say to each other.
///
/// One message is one packet of a SOCK_SEQPACKET pair: version, operation, sandbox, run, then the body of the
/// operation; numbers are little-endian, texts are a 32-bit length and bytes. Descriptors travel beside the bytes
/// (SCM_RIGHTS). All three are the same program from the same build; the version guards against a mix-up, not for
/// compatibility.
///
/// A sandbox number is chosen by the daemon and never used again; a run number counts the programs started in it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sandbox/sandbox.h"
#include "system/files.h"

namespace lambdad::sandbox {

inline constexpr std::uint8_t kProtocolVersion = 1;
/// Larger packets are refused by the sender with kTooLarge. Bounds argv plus environment; AWS's is 4 KB of variables.
inline constexpr std::size_t kPacketBytesMax = 128 * 1024;
inline constexpr std::size_t kPacketDescriptorsMax = 64;

enum class Op : std::uint8_t {
  kCreate = 1,    ///< daemon to keeper: SandboxSpec. Answered by kCreated.
  kStart,         ///< daemon to keeper to init: ProcessSpec. Answered by kStarted.
  kSignal,        ///< daemon to keeper to init: number of the signal for the program
  kKill,          ///< daemon to keeper to init: SIGKILL to the program of this run; run 0: to all but init
  kDestroy,       ///< daemon to keeper. Answered by kDestroyed when nothing is left.
  kDescribe,      ///< daemon to keeper. Answered by kDescribed.
  kStop,          ///< daemon to keeper: destroy all and exit
  kSocket,        ///< daemon to keeper to init: make a TCP socket; run numbers the request. Answered by kSocketMade.
  kAssign,        ///< daemon to keeper: SandboxSpec; keeper to init: plan (encode_plan). Answered by kAssigned.
  kCreated = 32,  ///< Outcome, then CreatedReply; descriptors as CreatedReply says
  kStarted,       ///< Outcome; with success the daemon's ends of what PipeSet says (keeper to daemon only)
  kExited,        ///< ProcessExit
  kDestroyed,     ///< empty
  kDescribed,     ///< Capabilities
  kSocketMade,    ///< Outcome; with success the socket
  kAssigned,      ///< Outcome
  kGo = 64,       ///< keeper to init: users are mapped, this is the plan (encode_plan)
  kReady,         ///< init to keeper: Outcome; with a network of its own the two listeners
};

struct Header {
  Op op{};
  std::uint64_t sandbox = 0;
  std::uint64_t run = 0;
};

/// The pipes of a program, and its control socket: descriptors in this order, output first, then those that are there.
struct PipeSet {
  bool second_output = false;
  bool control = false;
  std::size_t count() const { return 1u + (second_output ? 1u : 0u) + (control ? 1u : 0u); }
};

/// How something went: no error, or why not.
using Outcome = std::optional<Error>;

/// Descriptors in this order: Runtime API listener, then those said to be there.
struct CreatedReply {
  std::uint16_t runtime_api_port = 0;
  std::uint16_t endpoint_port = 0;
  bool has_endpoint = false;     ///< its listener
  bool has_peak_file = false;    ///< memory high-water mark, text, to be read with pread
  bool has_freeze_file = false;  ///< written "1"/"0" or "FROZEN"/"THAWED"
  bool freezer_v1 = false;
  bool has_cpu_file = false;  ///< written cpu_limit_text()
  bool cpu_v2 = false;
};

/// Appends values to a packet.
class Encoder {
 public:
  explicit Encoder(const Header& header);
  void u8(std::uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void u16(std::uint16_t value) { number(value, 2); }
  void u32(std::uint32_t value) { number(value, 4); }
  void u64(std::uint64_t value) { number(value, 8); }
  void text(std::string_view value);
  void spec(const SandboxSpec& value);
  void process(const ProcessSpec& value);
  void exit(const ProcessExit& value);
  void outcome(const Outcome& value);
  void created(const CreatedReply& value);
  void capabilities(const Capabilities& value);
  const std::string& bytes() const { return bytes_; }

 private:
  void number(std::uint64_t value, int count);
  std::string bytes_;
};

/// Takes values off a packet. Reading beyond its end or a value out of range makes failed() true and yields zeroes;
/// finish() is the one check a caller needs.
class Decoder {
 public:
  /// Reads the header; failed() when the version or the operation is unknown.
  explicit Decoder(std::string_view packet);
  const Header& header() const { return header_; }
  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  std::string text();
  SandboxSpec spec();
  ProcessSpec process();
  /// The pipes of a start request whose process() has not been read; reads nothing else.
  PipeSet pipes() const;
  ProcessExit exit();
  Outcome outcome();
  CreatedReply created();
  Capabilities capabilities();
  bool failed() const { return failed_; }
  /// True when everything was read, nothing is left and no value was wrong.
  bool finish() const { return !failed_ && rest_.empty(); }

 private:
  std::uint64_t number(int count);
  /// A count of items of at least `item_bytes` each that still fit in the packet.
  std::uint32_t count(std::size_t item_bytes);
  std::string_view rest_;
  Header header_;
  bool failed_ = false;
};

struct Packet {
  std::string bytes;
  std::vector<UniqueFd> descriptors;
};

/// Sends one packet. False when the socket is full (MSG_DONTWAIT in `flags`). Errors: kClosed when the peer is gone,
/// kTooLarge, kInternal.
Result<bool> send_packet(int socket, std::string_view bytes, std::span<const int> descriptors, int flags);
/// Receives one packet; its descriptors are close-on-exec. nullopt when there is none yet (MSG_DONTWAIT). Errors:
/// kClosed when the peer is gone, kCorrupt when the packet is larger than allowed.
Result<std::optional<Packet>> receive_packet(int socket, int flags);

}  // namespace lambdad::sandbox
