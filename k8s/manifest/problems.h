#pragma once

// Collects everything that is wrong with a set of manifests, so that one run shows all of it, and
// the things that are accepted without having an effect. Not thread-safe.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace secretfs::k8s {

// Where something stands in a file; both count from 1, as editors do. Columns count bytes.
struct Position {
  int line = 1;
  int column = 1;
  friend auto operator<=>(const Position&, const Position&) = default;
};

// A field of one file.
struct Location {
  std::string file;
  Position position;
  std::string field;  // "spec.data[0].remoteRef.key"; empty for the document itself
  // "FILE:LINE", for errors that are found when the stores are asked.
  std::string Origin() const;
};

class Problems {
 public:
  void Add(const Location& location, std::string_view message);
  void Warn(const Location& location, std::string_view message);

  bool empty() const { return problems_.empty(); }
  // InvalidArgument with one "FILE:LINE:COLUMN: FIELD: message" a line, in the order of the files
  // and of the lines in them; OK when there is nothing.
  absl::Status ToStatus() const;
  // The same form, one string each.
  std::vector<std::string> Warnings() const;

 private:
  struct Entry {
    size_t file;  // order of first mention
    Position position;
    std::string text;
  };
  Entry MakeEntry(const Location& location, std::string_view message);
  static std::vector<std::string> Sorted(const std::vector<Entry>& entries);

  std::map<std::string, size_t, std::less<>> files_;
  std::vector<Entry> problems_, warnings_;
};

// `text` in quotes for a message: shortened, and unprintable bytes as \xNN.
std::string Quote(std::string_view text);

}  // namespace secretfs::k8s
