/// The pattern language as directly as it can be said: every choice of values is tried. For tests of the real matcher,
/// with which it shares no code.
#pragma once

#include <cctype>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace lambdad::pattern::testing {

/// A value of an event: its path, and in which elements of which arrays it stands.
struct Placed {
  std::string path;
  json::Value value;
  std::map<int, int> elements;
};

inline void place(const json::Value& value, const std::string& path, std::map<int, int> elements, int& arrays,
                  std::vector<Placed>& out) {
  if (const auto* object = value.if_object()) {
    for (const auto& [key, inner] : *object) place(inner, path.empty() ? key : path + "." + key, elements, arrays, out);
  } else if (const auto* items = value.if_array()) {
    const int array = arrays++;
    for (int i = 0; i < static_cast<int>(items->size()); ++i) {
      auto within = elements;
      const json::Value& item = (*items)[static_cast<std::size_t>(i)];
      if (item.is_object() || item.is_array()) within[array] = i;
      place(item, path, within, arrays, out);
    }
  } else {
    out.push_back({path, value, elements});
  }
}

inline std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

inline bool glob(const char* pattern, const char* text) {
  if (*pattern == '\0') return *text == '\0';
  if (*pattern == '*') return glob(pattern + 1, text) || (*text != '\0' && glob(pattern, text + 1));
  if (*pattern == '\\') ++pattern;
  return *pattern == *text && glob(pattern + 1, text + 1);
}

inline bool operator_matches(const json::Value& wanted, const json::Value& value);

inline bool expression_matches(const std::string& name, const json::Value& operand, const json::Value& value) {
  const bool text = value.is_string();
  const std::string s = text ? *value.if_string() : "";
  if (name == "exact") return operator_matches(operand, value);
  if (name == "prefix" || name == "suffix") {
    std::string want, have = s;
    if (const auto* plain = operand.if_string()) {
      want = *plain;
    } else {
      want = lower(*operand.find("equals-ignore-case")->if_string());
      have = lower(have);
    }
    if (!text || have.size() < want.size()) return false;
    return name == "prefix" ? have.substr(0, want.size()) == want : have.substr(have.size() - want.size()) == want;
  }
  if (name == "equals-ignore-case") return text && lower(s) == lower(*operand.if_string());
  if (name == "wildcard") return text && glob(operand.if_string()->c_str(), s.c_str());
  if (name == "exists") return *operand.if_bool();
  if (name == "numeric") {
    if (!value.is_number()) return false;
    const double have = std::strtod(value.if_number()->text.c_str(), nullptr);
    const auto& terms = *operand.if_array();
    for (std::size_t i = 0; i + 1 < terms.size(); i += 2) {
      const std::string& sign = *terms[i].if_string();
      const double want = std::strtod(terms[i + 1].if_number()->text.c_str(), nullptr);
      const bool good = sign == "="    ? have == want
                        : sign == "<"  ? have < want
                        : sign == "<=" ? have <= want
                        : sign == ">"  ? have > want
                                       : have >= want;
      if (!good) return false;
    }
    return true;
  }
  // anything-but
  if (const auto* object = operand.if_object()) {
    const auto& [inner, values] = *object->begin();
    if (const auto* list = values.if_array()) {
      for (const auto& item : *list) {
        if (expression_matches(inner, item, value)) return false;
      }
      return true;
    }
    return !expression_matches(inner, values, value);
  }
  if (const auto* list = operand.if_array()) {
    for (const auto& item : *list) {
      if (operator_matches(item, value)) return false;
    }
    return true;
  }
  return !operator_matches(operand, value);
}

inline bool operator_matches(const json::Value& wanted, const json::Value& value) {
  if (const auto* object = wanted.if_object()) {
    return expression_matches(object->begin()->first, object->begin()->second, value);
  }
  if (wanted.is_number() && value.is_number()) return wanted.as_double() == value.as_double();
  return wanted == value;
}

using Fields = std::map<std::string, json::Value>;  // path: the leaf's array

inline std::vector<Fields> alternatives(const json::Object& object, const std::string& path,
                                        std::vector<Fields> before) {
  for (const auto& [key, value] : object) {
    const std::string at = path.empty() ? key : path + "." + key;
    if (key == "$or") {
      std::vector<Fields> all;
      for (const auto& branch : *value.if_array()) {
        for (auto& made : alternatives(*branch.if_object(), path, before)) all.push_back(std::move(made));
      }
      before = std::move(all);
    } else if (const auto* inner = value.if_object()) {
      before = alternatives(*inner, at, std::move(before));
    } else {
      for (auto& fields : before) fields[at] = value;
    }
  }
  return before;
}

inline bool agree(const std::map<int, int>& a, const std::map<int, int>& b) {
  for (const auto& [array, index] : a) {
    if (const auto other = b.find(array); other != b.end() && other->second != index) return false;
  }
  return true;
}

inline bool reference_matches(const json::Value& pattern, const json::Value& event) {
  if (!event.is_object()) return false;
  std::vector<Placed> values;
  int arrays = 0;
  place(event, "", {}, arrays, values);
  for (const Fields& fields : alternatives(*pattern.if_object(), "", {Fields{}})) {
    std::vector<std::map<int, int>> chosen;
    std::vector<std::string> absent;
    const std::function<bool(Fields::const_iterator)> choose = [&](Fields::const_iterator at) -> bool {
      if (at == fields.end()) {
        for (const auto& path : absent) {
          for (const auto& placed : values) {
            if (placed.path != path) continue;
            bool counts = true;
            for (const auto& other : chosen) counts = counts && agree(placed.elements, other);
            if (counts) return false;
          }
        }
        return true;
      }
      for (const auto& wanted : *at->second.if_array()) {
        const json::Value* exists = wanted.find("exists");
        if (exists != nullptr && !*exists->if_bool()) {
          absent.push_back(at->first);
          const bool good = choose(std::next(at));
          absent.pop_back();
          if (good) return true;
          continue;
        }
        for (const auto& placed : values) {
          if (placed.path != at->first || !operator_matches(wanted, placed.value)) continue;
          bool fits = true;
          for (const auto& other : chosen) fits = fits && agree(placed.elements, other);
          if (!fits) continue;
          chosen.push_back(placed.elements);
          const bool good = choose(std::next(at));
          chosen.pop_back();
          if (good) return true;
        }
      }
      return false;
    };
    if (choose(fields.begin())) return true;
  }
  return false;
}

}  // namespace lambdad::pattern::testing
