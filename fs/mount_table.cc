#include "fs/mount_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <charconv>
#include <fstream>
#include <iterator>

namespace secretfs::fs {
namespace {

std::vector<std::string_view> SplitAtSpaces(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const size_t end = line.find(' ');
    words.push_back(line.substr(0, end));
    if (end == std::string_view::npos) break;
    line.remove_prefix(end + 1);
  }
  return words;
}

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string Unescape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && IsOctal(text[i + 1]) && IsOctal(text[i + 2]) &&
        IsOctal(text[i + 3])) {
      result += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                  (text[i + 3] - '0'));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

dev_t ParseDevice(std::string_view text) {
  unsigned major = 0, minor = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), major);
  if (error == std::errc() && end != text.data() + text.size()) {
    std::from_chars(end + 1, text.data() + text.size(), minor);
  }
  return makedev(major, minor);
}

std::optional<dev_t> DeviceNumber(int directory, const char* path, int flags) {
  // An empty mask and DONT_SYNC: the kernel answers st_dev from the superblock, even for a caller
  // that may not enter the mount and even when nobody serves it.
  struct statx result = {};
  if (statx(directory, path, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &result) != 0) {
    return std::nullopt;
  }
  return makedev(result.stx_dev_major, result.stx_dev_minor);
}

}  // namespace

std::vector<MountTableEntry> MountsAtIn(std::string_view mountinfo, std::string_view directory) {
  std::vector<MountTableEntry> found;
  while (!mountinfo.empty()) {
    const size_t end = mountinfo.find('\n');
    const std::vector<std::string_view> words = SplitAtSpaces(mountinfo.substr(0, end));
    mountinfo.remove_prefix(end == std::string_view::npos ? mountinfo.size() : end + 1);
    // id parent major:minor root mountpoint options [optional…] - type source super-options
    if (words.size() < 10 || Unescape(words[4]) != directory) continue;
    for (size_t i = 6; i + 2 < words.size(); ++i) {
      if (words[i] != "-") continue;
      // Later lines are mounted on top of earlier ones.
      found.push_back({.type = Unescape(words[i + 1]),
                       .source = Unescape(words[i + 2]),
                       .device_number = ParseDevice(words[2])});
      break;
    }
  }
  return found;
}

std::vector<MountTableEntry> MountsAt(std::string_view directory) {
  std::ifstream file("/proc/self/mountinfo");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return MountsAtIn(text, directory);
}

std::optional<dev_t> DeviceNumberOf(const std::string& path) {
  return DeviceNumber(AT_FDCWD, path.c_str(), 0);
}

std::optional<dev_t> DeviceNumberOf(int descriptor) {
  return DeviceNumber(descriptor, "", AT_EMPTY_PATH);
}

}  // namespace secretfs::fs
