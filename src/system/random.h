#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace lambdad {

/// Randomness. The real one is the kernel's; the simulated one comes from the run's seed.
struct Random {
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> bytes) = 0;
  std::uint64_t next_u64();
  /// Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound);
  double unit();          ///< [0, 1)
  std::string uuid_v4();  ///< 8-4-4-4-12 lower-case hex
  std::string bytes(std::size_t count);
  std::string hex(std::size_t digits);
};

/// getrandom(2), a kilobyte at a time for small requests; not to be used in a child of fork(). Thread-safe.
class KernelRandom final : public Random {
 public:
  void fill(std::span<std::byte> bytes) override;
};

/// Deterministic: xoshiro256** from a seed. Not for secrets.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed);
  void fill(std::span<std::byte> bytes) override;

 private:
  std::uint64_t state_[4];
};

}  // namespace lambdad
