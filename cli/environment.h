#pragma once

// The process's environment variables, injected so that tests bring their own. Free functions.

#include <functional>
#include <optional>
#include <string>

namespace secretfs::cli {

// The value of a variable; nothing when it is not set. An empty value counts as set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

Environment ProcessEnvironment();

// The variable's value, or "" when it is not set.
std::string ValueOr(const Environment& environment, const std::string& name,
                    const std::string& otherwise);

// $HOME, else the home directory that the system has for this user; "" if neither is known.
std::string HomeDirectory(const Environment& environment);

// `path` made absolute from the working directory; "" stays "".
std::string AbsolutePath(const std::string& path);

}  // namespace secretfs::cli
