/// Random patterns and events over few keys and values, so that they often meet.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "system/random.h"

namespace lambdad::pattern::testing {

class Generator {
 public:
  explicit Generator(Random& random) : random_(random) {}

  json::Value event() { return object(3); }
  json::Value pattern() { return fields(2); }

 private:
  bool one_in(int n) { return random_.below(static_cast<std::uint64_t>(n)) == 0; }
  template <class T>
  const T& any(const std::vector<T>& from) {
    return from[random_.below(from.size())];
  }
  std::string key() { return any<std::string>({"a", "b", "c", "a.b"}); }
  json::Value scalar() {
    switch (random_.below(8)) {
      case 0: return json::Value(json::Number{any<std::string>({"1", "1.0", "2", "1e0", "-3.5", "20", "2e1"})});
      case 1: return json::Value(one_in(2));
      case 2: return json::Value();
      default: return json::Value(text());
    }
  }
  std::string text() { return any<std::string>({"", "x", "xy", "XY", "yx", "xyx", "*", "1", "xyyx"}); }

  json::Value value(int depth) {
    if (depth > 0 && one_in(3)) return object(depth - 1);
    if (depth > 0 && one_in(3)) {
      json::Array items;
      for (auto n = random_.below(4); n > 0; --n) items.push_back(value(depth - 1));
      return items;
    }
    return scalar();
  }
  json::Value object(int depth) {
    json::Object out;
    for (auto n = 1 + random_.below(3); n > 0; --n) out.set(key(), value(depth));
    return out;
  }

  json::Value fields(int depth) {
    json::Object out;
    for (auto n = 1 + random_.below(2); n > 0; --n) {
      const std::string name = key();
      if (out.contains(name)) continue;
      out.set(name, depth > 0 && one_in(3) ? fields(depth - 1) : leaf());
    }
    if (one_in(6)) out.set("$or", json::Array{fields(0), fields(0)});
    return out;
  }
  json::Value leaf() {
    json::Array out;
    for (auto n = 1 + random_.below(2); n > 0; --n) out.push_back(one_in(3) ? scalar() : expression());
    return out;
  }
  json::Value texts() {
    if (one_in(2)) return json::Value(text() + "y");
    return json::Array{text() + "x", text() + "y"};
  }
  json::Value numbers() {
    return json::Array{json::Number{any<std::string>({"1", "2"})}, json::Number{any<std::string>({"20", "-3.5"})}};
  }
  json::Value expression() {
    switch (random_.below(12)) {
      case 0: return json::Object{{"prefix", text()}};
      case 1: return json::Object{{"suffix", text()}};
      case 2: return json::Object{{"prefix", json::Object{{"equals-ignore-case", text()}}}};
      case 3: return json::Object{{"suffix", json::Object{{"equals-ignore-case", text()}}}};
      case 4: return json::Object{{"equals-ignore-case", text()}};
      case 5: return json::Object{{"wildcard", any<std::string>({"*", "x*", "*x", "x*x", "*y*", "x", "\\*", "*x*y*"})}};
      case 6: return json::Object{{"numeric", json::Array{any<std::string>({"<", "<=", ">", ">=", "="}), 2}}};
      case 7: return json::Object{{"numeric", json::Array{">=", 1, "<", 20}}};
      case 8: return json::Object{{"exists", one_in(2)}};
      case 9: return json::Object{{"anything-but", one_in(3) ? numbers() : texts()}};
      case 10:
        return json::Object{
            {"anything-but",
             json::Object{{any<std::string>({"prefix", "suffix", "wildcard", "equals-ignore-case"}), texts()}}}};
      default: return json::Object{{"exact", text()}};
    }
  }

  Random& random_;
};

}  // namespace lambdad::pattern::testing
