#include "base/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/status.h"
#include "base/text.h"

namespace secretfs {
namespace {

constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

absl::StatusOr<UniqueFd> MakeSealedMemory(const char* name, std::span<const std::byte> content) {
  const auto failed = [name] {
    return absl::ResourceExhaustedError(
        Format("cannot write {} to memory ({})", name, strerror(errno)));
  };
  UniqueFd memory(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return failed();
  while (!content.empty()) {
    const ssize_t count = write(memory.get(), content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return failed();
    content = content.subspan(static_cast<size_t>(count));
  }
  if (fcntl(memory.get(), F_ADD_SEALS, kAllSeals) != 0) return failed();
  return memory;
}

absl::Status CheckSealed(int memory) {
  const int seals = fcntl(memory, F_GET_SEALS);
  if (seals >= 0 && (seals & kAllSeals) == kAllSeals) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "the memory is not sealed: whoever else has it could change it at any time");
}

absl::StatusOr<SealedView> SealedView::Of(int memory, size_t most) {
  SECRETFS_RETURN_IF_ERROR(CheckSealed(memory));
  struct stat attributes = {};
  if (fstat(memory, &attributes) != 0 || attributes.st_size < 0) {
    return absl::InvalidArgumentError(Format("the memory cannot be read ({})", strerror(errno)));
  }
  const auto size = static_cast<size_t>(attributes.st_size);
  if (size > most) return absl::InvalidArgumentError("there is more in the memory than expected");
  if (size == 0) return SealedView();
  // Not writable: locking would otherwise make copies of the pages instead of locking them.
  void* const map = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, memory, 0);
  if (map == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        Format("cannot map {} bytes of memory ({})", size, strerror(errno)));
  }
  madvise(map, size, MADV_DONTDUMP);
  return SealedView(map, size, mlock(map, size) == 0);
}

SealedView::~SealedView() {
  if (map_ != nullptr) munmap(map_, size_);
}

}  // namespace secretfs
