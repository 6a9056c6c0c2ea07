#include "system/random.h"

#include <errno.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/encoding.h"
#include "base/error.h"

namespace lambdad {

std::uint64_t Random::next_u64() {
  std::uint64_t value = 0;
  fill(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

std::uint64_t Random::below(std::uint64_t bound) {
  LD_CHECK(bound > 0);
  // Refuses the first 2^64 mod bound values, so that what is left divides evenly.
  const std::uint64_t refused_below = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t value = next_u64();
    if (value >= refused_below) return value % bound;
  }
}

double Random::unit() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

std::string Random::bytes(std::size_t count) {
  std::string out(count, '\0');
  fill(std::as_writable_bytes(std::span(out)));
  return out;
}

std::string Random::hex(std::size_t digits) {
  std::string out = hex_encode(bytes((digits + 1) / 2));
  out.resize(digits);
  return out;
}

std::string Random::uuid_v4() {
  std::array<char, 16> random;
  fill(std::as_writable_bytes(std::span(random)));
  random[6] = static_cast<char>((random[6] & 0x0F) | 0x40);  // version 4
  random[8] = static_cast<char>((random[8] & 0x3F) | 0x80);  // variant of RFC 9562
  const std::string digits = hex_encode({random.data(), random.size()});
  std::string out;
  out.reserve(36);
  std::size_t at = 0;
  for (const std::size_t length : {8u, 4u, 4u, 4u, 12u}) {
    if (at > 0) out += '-';
    out.append(digits, at, length);
    at += length;
  }
  return out;
}

namespace {

void fill_from_kernel(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    LD_CHECK(got > 0, "getrandom: {}", std::strerror(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

// Of the thread: identifiers need a few bytes each and several a request, and a system call costs more than they do.
struct RandomStock {
  std::array<std::byte, 1024> bytes;
  std::size_t left = 0;  // at the end
};

}  // namespace

void KernelRandom::fill(std::span<std::byte> bytes) {
  thread_local RandomStock stock;
  if (bytes.size() > stock.bytes.size() / 8) return fill_from_kernel(bytes);
  if (bytes.size() > stock.left) {
    fill_from_kernel(stock.bytes);
    stock.left = stock.bytes.size();
  }
  const std::span taken(stock.bytes.end() - static_cast<std::ptrdiff_t>(stock.left), bytes.size());
  std::ranges::copy(taken, bytes.begin());
  std::ranges::fill(taken, std::byte{});
  stock.left -= bytes.size();
}

// --- SeededRandom: xoshiro256** by Blackman and Vigna, seeded by splitmix64 as they advise --------------------------

SeededRandom::SeededRandom(std::uint64_t seed) {
  for (std::uint64_t& word : state_) {
    seed += 0x9E3779B97F4A7C15u;
    std::uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    word = mixed ^ (mixed >> 31);
  }
}

void SeededRandom::fill(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t value = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    const std::size_t count = std::min(bytes.size(), sizeof value);
    std::memcpy(bytes.data(), &value, count);
    bytes = bytes.subspan(count);
  }
}

}  // namespace lambdad
