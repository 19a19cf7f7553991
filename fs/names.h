#pragma once

// Names that the filesystem makes up or rewrites: generation directories, the publisher's hidden
// names, and store names that a directory entry cannot hold. Free functions without state.

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "fs/publish_plan.h"

namespace secretfs::fs {

inline constexpr size_t kLongestName = 255;  // NAME_MAX
inline constexpr std::string_view kDataLink = "..data";
inline constexpr std::string_view kTemporaryDataLink = "..data_tmp";

// "..2006_01_02_15_04_05.123456789", UTC: Kubernetes' form of a generation's name.
std::string GenerationName(WallTime time);

// Whether GenerationName can have made it.
bool IsGenerationName(std::string_view name);

// What stands behind the last slash of a path.
std::string_view LastComponent(std::string_view path);

// "2006-01-02T15:04:05.123Z" (RFC 3339).
std::string FormatTime(WallTime time);

// The inode of a HiddenInodeName; nothing for any other name.
std::optional<InodeNumber> ParseHiddenInodeName(std::string_view name);

// Whether the shown path `path` is `root` or stands below it; "" is above everything.
bool IsWithin(std::string_view path, std::string_view root);

// What stands behind the last '/'; all of `path` when there is none.
std::string_view LeafOf(std::string_view path);

// How a store's name is shown. Almost every name is shown as it is. A name that no directory entry
// can hold is percent-encoded: '/' as "%2F", NUL as "%00", "." and ".." as "%2E" and "%2E%2E", the
// empty name as "%"; each '%' of such a name becomes "%25". So does each '%' of a name that looks
// like the result of this, so that no two names are shown alike. What is longer than 255 bytes
// (after that) is cut, and ends in "%~" and 16 hexadecimal digits made from the whole name.
std::string ShownName(std::string_view store_name);

// The store's name of a shown one. Nothing for a name that was cut, which only a listing can
// resolve.
std::optional<std::string> StoreName(std::string_view shown_name);

}  // namespace secretfs::fs
