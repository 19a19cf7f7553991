#include "fs/names.h"

#include <charconv>
#include <ctime>

#include "base/text.h"

namespace secretfs::fs {
namespace {

constexpr std::string_view kHiddenPrefix = "..secretfs-inode-";
constexpr std::string_view kCutMark = "%~";
constexpr size_t kDigestDigits = 16;

struct BrokenDownTime {
  std::tm calendar{};
  int64_t nanoseconds = 0;
};

BrokenDownTime BreakDown(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const std::time_t value = seconds.time_since_epoch().count();
  BrokenDownTime result;
  gmtime_r(&value, &result.calendar);
  result.nanoseconds = (time - seconds).count();
  return result;
}

bool CannotBeHeld(std::string_view name) {
  return name.empty() || name == "." || name == ".." || name.size() > kLongestName ||
         name.find('/') != std::string_view::npos || name.find('\0') != std::string_view::npos;
}

std::string PercentEncode(std::string_view name) {
  if (name.empty()) return "%";
  if (name == ".") return "%2E";
  if (name == "..") return "%2E%2E";
  std::string encoded;
  for (const char byte : name) {
    switch (byte) {
      case '/':
        encoded += "%2F";
        break;
      case '\0':
        encoded += "%00";
        break;
      case '%':
        encoded += "%25";
        break;
      default:
        encoded += byte;
    }
  }
  return encoded;
}

// The inverse of PercentEncode; nothing for text that it never makes.
std::optional<std::string> PercentDecode(std::string_view text) {
  if (text == "%") return "";
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const std::string_view code = text.substr(i + 1, 2);
    if (code == "2F") {
      decoded += '/';
    } else if (code == "00") {
      decoded += '\0';
    } else if (code == "25") {
      decoded += '%';
    } else if (code == "2E") {
      decoded += '.';
    } else {
      return std::nullopt;
    }
    i += 2;
  }
  return decoded;
}

bool IsCut(std::string_view name) {
  if (name.size() < kCutMark.size() + kDigestDigits) return false;
  const std::string_view tail = name.substr(name.size() - kCutMark.size() - kDigestDigits);
  return tail.starts_with(kCutMark) &&
         tail.find_first_not_of("0123456789abcdef", kCutMark.size()) == std::string_view::npos;
}

// FNV-1a: the same in every process, which std::hash does not promise.
uint64_t StableDigest(std::string_view text) {
  uint64_t digest = 14695981039346656037u;
  for (const char byte : text) {
    digest = (digest ^ static_cast<unsigned char>(byte)) * 1099511628211u;
  }
  return digest;
}

}  // namespace

std::string GenerationName(WallTime time) {
  const auto [calendar, nanoseconds] = BreakDown(time);
  return Format("..{:04}_{:02}_{:02}_{:02}_{:02}_{:02}.{:09}", calendar.tm_year + 1900,
                calendar.tm_mon + 1, calendar.tm_mday, calendar.tm_hour, calendar.tm_min,
                calendar.tm_sec, nanoseconds);
}

bool IsGenerationName(std::string_view name) {
  constexpr std::string_view kForm = "..0000_00_00_00_00_00.000000000";
  if (name.size() != kForm.size()) return false;
  for (size_t i = 0; i < kForm.size(); ++i) {
    const bool is_digit = name[i] >= '0' && name[i] <= '9';
    if (kForm[i] == '0' ? !is_digit : name[i] != kForm[i]) return false;
  }
  return true;
}

std::string_view LastComponent(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string FormatTime(WallTime time) {
  const auto [calendar, nanoseconds] = BreakDown(time);
  return Format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", calendar.tm_year + 1900,
                calendar.tm_mon + 1, calendar.tm_mday, calendar.tm_hour, calendar.tm_min,
                calendar.tm_sec, nanoseconds / 1'000'000);
}

std::string HiddenInodeName(InodeNumber inode) {
  return Format("{}{}", kHiddenPrefix, inode.value());
}

std::optional<InodeNumber> ParseHiddenInodeName(std::string_view name) {
  if (!name.starts_with(kHiddenPrefix)) return std::nullopt;
  name.remove_prefix(kHiddenPrefix.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return InodeNumber(number);
}

std::string_view LeafOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool IsWithin(std::string_view path, std::string_view root) {
  if (root.empty() || path == root) return true;
  return path.starts_with(root) && path[root.size()] == '/';
}

std::string ShownName(std::string_view store_name) {
  const bool looks_encoded = store_name.find('%') != std::string_view::npos &&
                             (PercentDecode(store_name).has_value() || IsCut(store_name));
  if (!CannotBeHeld(store_name) && !looks_encoded) return std::string(store_name);
  std::string encoded = PercentEncode(store_name);
  if (encoded.size() <= kLongestName) return encoded;
  encoded.resize(kLongestName - kCutMark.size() - kDigestDigits);
  return Format("{}{}{:016x}", encoded, kCutMark, StableDigest(store_name));
}

std::optional<std::string> StoreName(std::string_view shown_name) {
  if (shown_name.find('%') == std::string_view::npos) return std::string(shown_name);
  if (IsCut(shown_name)) return std::nullopt;
  if (auto decoded = PercentDecode(shown_name)) return decoded;
  return std::string(shown_name);
}

}  // namespace secretfs::fs
