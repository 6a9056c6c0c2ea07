/// Zips for tests, byte by byte: also those no tool would write.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace lambdad::package {

class TestZip {
 public:
  struct Options {
    std::uint32_t mode = S_IFREG | 0644;  ///< st_mode of the Unix attributes
    bool unix_attributes = true;          ///< false: made on FAT, no mode
    std::uint16_t flags = 0;              ///< bit 0: encrypted
    std::uint16_t method = 0;             ///< 0 stored, 8 deflated
    std::uint32_t size_change = 0;        ///< added to the uncompressed size that is claimed
    std::uint32_t crc_change = 0;         ///< added to the CRC that is claimed
    std::string uncompressed;             ///< with method 8: `data` is raw deflate of this
  };

  TestZip& add(std::string_view name, std::string_view data, Options options) {
    const std::string_view plain = options.method == 0 ? data : std::string_view(options.uncompressed);
    std::string header;
    put16(header, options.flags);
    put16(header, options.method);
    put32(header, 0x5a210000);  // some day, midnight
    put32(header, crc32(plain) + options.crc_change);
    put32(header, static_cast<std::uint32_t>(data.size()));
    put32(header, static_cast<std::uint32_t>(plain.size()) + options.size_change);
    put16(header, static_cast<std::uint16_t>(name.size()));
    put16(header, 0);

    const auto offset = static_cast<std::uint32_t>(bytes_.size());
    bytes_ += "PK\x03\x04";
    put16(bytes_, 20);
    bytes_ += header;
    bytes_ += name;
    bytes_ += data;

    central_ += "PK\x01\x02";
    put16(central_, static_cast<std::uint16_t>((options.unix_attributes ? 3 : 0) << 8 | 20));
    put16(central_, 20);
    central_ += header;
    put16(central_, 0);
    put16(central_, 0);
    put16(central_, 0);
    put32(central_, options.unix_attributes ? options.mode << 16 : 0);
    put32(central_, offset);
    central_ += name;
    ++count_;
    return *this;
  }
  TestZip& file(std::string_view name, std::string_view data) { return add(name, data, Options{}); }
  TestZip& program(std::string_view name, std::string_view data) {
    return add(name, data, Options{.mode = S_IFREG | 0755});
  }
  TestZip& directory(std::string_view name) { return add(name, "", Options{.mode = S_IFDIR | 0755}); }
  TestZip& link(std::string_view name, std::string_view target) {
    return add(name, target, Options{.mode = S_IFLNK | 0777});
  }

  std::string bytes() const {
    std::string out = bytes_ + central_ + "PK\x05\x06";
    put16(out, 0);
    put16(out, 0);
    put16(out, count_);
    put16(out, count_);
    put32(out, static_cast<std::uint32_t>(central_.size()));
    put32(out, static_cast<std::uint32_t>(bytes_.size()));
    put16(out, 0);
    return out;
  }

 private:
  static void put16(std::string& out, std::uint16_t value) {
    out += static_cast<char>(value & 0xff);
    out += static_cast<char>(value >> 8);
  }
  static void put32(std::string& out, std::uint32_t value) {
    put16(out, static_cast<std::uint16_t>(value & 0xffff));
    put16(out, static_cast<std::uint16_t>(value >> 16));
  }
  std::string bytes_;
  std::string central_;
  std::uint16_t count_ = 0;
};

}  // namespace lambdad::package
