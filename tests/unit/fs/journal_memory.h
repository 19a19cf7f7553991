#pragma once

// The memory of a request journal as the holder makes it. A free function without state.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "fs/request_journal.h"

namespace secretfs::fs {

inline UniqueFd JournalMemory() {
  UniqueFd memory(memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(memory.get(), static_cast<off_t>(RequestJournal::BytesNeeded())), 0);
  EXPECT_EQ(fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  return memory;
}

}  // namespace secretfs::fs
