#pragma once

// Which version of each Secret was last read here, so that a watch reports only what a reader does
// not have yet: a list that follows a gap is compared with it, and an event for a version that was
// read already (the read was faster than the event) is no news.
//
// A read that is under way while a list comes in may have been answered before the list was made:
// it is judged by the list when it ends. Not thread-safe.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "providers/kubernetes/kubernetes_response.h"

namespace secretfs::providers::kubernetes {

class SeenVersions {
 public:
  // More names than this are not kept; `lost_names` tells.
  explicit SeenVersions(size_t most) : most_(most) {}

  // A read of `name` begins; followed by ReadEnded.
  void ReadBegan(const std::string& name);
  // It found `version` ("": there is no such Secret; nothing at all: it failed). True when a list
  // came meanwhile that says otherwise.
  bool ReadEnded(const std::string& name, std::optional<std::string> version);

  // All that is there now (with `only`: of that name). The names that were read and are different
  // in it, or gone.
  std::vector<std::string> Listed(const std::vector<ObjectMetadata>& items,
                                  const std::string& only);

  // Whether an event tells more than was read.
  bool IsNews(const std::string& name, const std::string& version) const;

  bool lost_names() const { return lost_names_; }

 private:
  struct Reading {
    int count = 0;
    std::optional<std::string> listed;  // what a list said since the first of them began
  };
  void Remember(const std::string& name, std::string version);

  const size_t most_;
  bool lost_names_ = false;
  std::map<std::string, std::string, std::less<>> seen_;  // "": was not there
  std::map<std::string, Reading, std::less<>> reading_;
};

}  // namespace secretfs::providers::kubernetes
