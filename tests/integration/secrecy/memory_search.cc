#include "tests/integration/secrecy/memory_search.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "base/unique_fd.h"

namespace secretfs::testing {
namespace {

struct Mapping {
  uint64_t begin = 0, end = 0;
  bool is_readable = false;
  bool is_guarded = false;
  std::string name;
};

std::string ProcFile(pid_t process, const char* name) {
  return Format("/proc/{}/{}", process, name);
}

std::vector<Mapping> MappingsOf(pid_t process) {
  std::vector<Mapping> mappings;
  std::ifstream file(ProcFile(process, "smaps"));
  for (std::string line; std::getline(file, line);) {
    Mapping mapping;
    char rights[8] = "";
    int name_at = 0;
    const int fields = sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %n",
                              &mapping.begin, &mapping.end, rights, &name_at);
    if (fields == 3) {
      mapping.is_readable = rights[0] == 'r';
      if (name_at > 0) mapping.name = line.substr(static_cast<size_t>(name_at));
      mappings.push_back(mapping);
    } else if (line.starts_with("VmFlags:") && !mappings.empty()) {
      mappings.back().is_guarded = line.find(" dd") != std::string::npos;
    }
  }
  return mappings;
}

// Reads a piece at a time, each with the end of the one before it in front.
void SearchIn(int memory, const Mapping& mapping, std::string_view text,
              std::vector<MemoryCopy>& copies) {
  constexpr size_t kPiece = 1 << 20;
  std::string piece;
  uint64_t begin = mapping.begin;  // of `piece`
  for (uint64_t at = mapping.begin; at < mapping.end;) {
    const size_t kept = std::min(piece.size(), text.size() - 1);
    begin = at - kept;
    piece.erase(0, piece.size() - kept);
    const size_t wanted = std::min<uint64_t>(kPiece, mapping.end - at);
    piece.resize(kept + wanted);
    const ssize_t count = pread(memory, piece.data() + kept, wanted, static_cast<off_t>(at));
    if (count <= 0) return;
    piece.resize(kept + static_cast<size_t>(count));
    for (size_t found = piece.find(text); found != std::string::npos;
         found = piece.find(text, found + 1)) {
      copies.push_back({.mapping = mapping.name,
                        .address = Format("{:x}", begin + found),
                        .is_guarded = mapping.is_guarded});
    }
    at += static_cast<uint64_t>(count);
  }
}

}  // namespace

std::vector<MemoryCopy> CopiesIn(pid_t process, std::string_view text) {
  std::vector<MemoryCopy> copies;
  const UniqueFd memory(open(ProcFile(process, "mem").c_str(), O_RDONLY | O_CLOEXEC));
  if (!memory.valid()) return copies;
  for (const Mapping& mapping : MappingsOf(process)) {
    if (!mapping.is_readable || mapping.name.starts_with("[v")) continue;  // the kernel's
    SearchIn(memory.get(), mapping, text, copies);
  }
  return copies;
}

std::vector<MemoryCopy> UnguardedCopiesIn(pid_t process, std::string_view text) {
  std::vector<MemoryCopy> copies = CopiesIn(process, text);
  std::erase_if(copies, [](const MemoryCopy& copy) { return copy.is_guarded; });
  return copies;
}

std::string Describe(const std::vector<MemoryCopy>& copies) {
  std::ostringstream text;
  for (const MemoryCopy& copy : copies) {
    text << copy.Where() << (copy.is_guarded ? " (guarded)" : "") << "\n";
  }
  return text.str();
}

bool CanSearch(pid_t process) {
  const UniqueFd memory(open(ProcFile(process, "mem").c_str(), O_RDONLY | O_CLOEXEC));
  return memory.valid();
}

}  // namespace secretfs::testing
