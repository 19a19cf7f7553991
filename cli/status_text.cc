#include "cli/status_text.h"

#include <algorithm>

#include "base/text.h"
#include "cli/text_table.h"

namespace secretfs::cli {
namespace {

std::string Age(const std::optional<WallTime>& time, WallTime now) {
  return time.has_value() ? ShortDuration(now - *time) : "";
}

std::string NextRefresh(const std::optional<WallTime>& time, WallTime now) {
  if (!time.has_value()) return "";
  return *time <= now ? "now" : "in " + ShortDuration(*time - now);
}

}  // namespace

std::string ShortDuration(Duration duration) {
  const int64_t seconds =
      std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(duration).count());
  if (seconds < 60) return Format("{}s", seconds);
  if (seconds < 60 * 60) return Format("{}m", seconds / 60);
  if (seconds < 48 * 60 * 60) return Format("{}h", seconds / (60 * 60));
  return Format("{}d", seconds / (24 * 60 * 60));
}

std::string StatusText(const MountReport& report, WallTime now) {
  const fs::MountStatus& mount = report.status;
  std::string text =
      Format("{}: {}, mounted {} ago by process {}, {} {}, {} updates published\n",
             Printable(mount.directory), mount.layout == fs::Layout::kAtomic ? "atomic" : "flat",
             ShortDuration(now - mount.mounted_at), report.pid, mount.files.size(),
             mount.files.size() == 1 ? "file" : "files", mount.generation);
  if (report.server_generation > 0) {
    text += Format("  server {} is process {}, restarted {} {}\n", report.server_generation,
                   report.server_pid, report.server_restarts,
                   report.server_restarts == 1 ? "time" : "times");
  }
  if (!mount.in_flight.empty()) {
    text += Format("  {} {} in flight, the oldest ({}) for {}\n", mount.in_flight.size(),
                   mount.in_flight.size() == 1 ? "request" : "requests",
                   mount.in_flight.front().operation, ShortDuration(mount.in_flight.front().age));
  }
  if (mount.files.empty()) return text;
  TextTable table({"FILE", "STATE", "VERSION", "AGE", "NEXT REFRESH", "ERROR"});
  for (const fs::FileStatus& file : mount.files) {
    table.AddRow({file.path, std::string(cache::EntryStateName(file.state)), file.version,
                  Age(file.fetched_at, now), NextRefresh(file.next_refresh_at, now), file.error});
  }
  return text + table.ToString("  ");
}

}  // namespace secretfs::cli
