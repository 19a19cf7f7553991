#include "cli/mount_directory.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

#include "cli/environment.h"

namespace secretfs::cli {
namespace {

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const size_t end = line.find(' ');
    words.push_back(line.substr(0, end));
    if (end == std::string_view::npos) break;
    line.remove_prefix(end + 1);
  }
  return words;
}

// The kernel writes blanks and backslashes of paths as \ooo.
std::string Unescape(std::string_view text) {
  const auto digit = [&text](size_t at) { return text[at] >= '0' && text[at] <= '7'; };
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// "ID PARENT MAJOR:MINOR ROOT DIRECTORY OPTIONS [TAGS…] - TYPE SOURCE SUPEROPTIONS"
std::optional<dev_t> SecretfsDevice(std::string_view line, std::string_view directory) {
  const std::vector<std::string_view> words = Words(line);
  if (words.size() < 10 || Unescape(words[4]) != directory) return std::nullopt;
  size_t dash = 6;
  while (dash < words.size() && words[dash] != "-") ++dash;
  if (dash + 2 >= words.size()) return std::nullopt;
  const std::string_view type = words[dash + 1];
  const bool is_ours = type == "fuse.secretfs" || (type == "fuse" && words[dash + 2] == "secretfs");
  unsigned int major_number = 0;
  unsigned int minor_number = 0;
  if (!is_ours ||
      sscanf(std::string(words[2]).c_str(), "%u:%u", &major_number, &minor_number) != 2) {
    return std::nullopt;
  }
  return makedev(major_number, minor_number);
}

}  // namespace

std::string CanonicalMountDirectory(const std::string& directory) {
  namespace filesystem = std::filesystem;
  std::error_code error;
  filesystem::path path = AbsolutePath(directory);
  if (!path.has_filename()) path = path.parent_path();  // "DIR/"
  // Reading a link asks its folder, not what it points to.
  if (filesystem::is_symlink(filesystem::symlink_status(path, error))) {
    const filesystem::path resolved = filesystem::canonical(path, error);
    if (!error) return resolved.string();
  }
  const filesystem::path parent = filesystem::canonical(path.parent_path(), error);
  return error ? path.string() : (parent / path.filename()).string();
}

std::optional<dev_t> FindSecretfsMount(std::string_view mountinfo, std::string_view directory) {
  std::optional<dev_t> found;
  while (!mountinfo.empty()) {
    const size_t end = mountinfo.find('\n');
    if (const auto device = SecretfsDevice(mountinfo.substr(0, end), directory)) found = device;
    if (end == std::string_view::npos) break;
    mountinfo.remove_prefix(end + 1);
  }
  return found;
}

std::optional<dev_t> FindSecretfsMount(const std::string& directory) {
  std::ifstream stream("/proc/self/mountinfo", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  return FindSecretfsMount(std::string_view(text), std::string_view(directory));
}

}  // namespace secretfs::cli
