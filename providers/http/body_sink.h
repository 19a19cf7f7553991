#pragma once

// Takes an answer as it comes, instead of a Transfer keeping it. Called by curl: must call nothing
// of curl's.

#include <map>
#include <string>
#include <string_view>

namespace secretfs::providers {

class BodySink {
 public:
  virtual ~BodySink() = default;
  // Once, before the first OnBody.
  virtual void OnHead(long status, std::multimap<std::string, std::string> headers) = 0;
  // False: not now; the same bytes come again once the transfer is resumed.
  virtual bool OnBody(std::string_view bytes) = 0;
};

}  // namespace secretfs::providers
