#pragma once

// Text helpers. Debian builds Abseil for C++14, so absl::string_view is a type of its own that does
// not convert to and from std::string_view: messages are therefore made with Format (fmt), and the
// two converters below stand at the border. A secret cannot be formatted (base/log.h deletes its
// formatter). Free functions without state.

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace secretfs {

template <typename... Args>
std::string Format(fmt::format_string<Args...> format, Args&&... arguments) {
  return fmt::format(format, std::forward<Args>(arguments)...);
}

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }
inline std::string_view MessageOf(const absl::Status& status) { return ToStd(status.message()); }

// ASCII letters only, whatever the locale: names of schemes, hosts and headers.
inline std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace secretfs
