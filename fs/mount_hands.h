#pragma once

// What the publisher does through the mount itself, so that watchers hear of it: by this process,
// or by the holder for a server that may not. One object a mount.
//
// Thread-safety: none; the publisher's thread only. Each call waits for the kernel, and through it
// for whoever serves the mount.

#include <sys/types.h>

#include <memory>
#include <string>

namespace secretfs::fs {

class MountHands {
 public:
  virtual ~MountHands() = default;

  // Around the steps of one plan. False: the mount cannot be reached by its path (hidden by another
  // one, gone), and the steps would fail.
  virtual bool Reach() = 0;
  virtual void Release() = 0;

  // Each 0 or an errno. symlink("..data_tmp" -> target) and rename("..data_tmp", "..data").
  virtual int SwitchData(const std::string& target) = 0;
  // Opens for writing, truncates to the size that the file has, closes: watchers of the file get
  // MODIFY and CLOSE_WRITE, nothing changes.
  virtual int Touch(const std::string& path) = 0;
  // Makes the kernel ask for the attributes of what is there although it remembers them.
  virtual int LookUpAgain(const std::string& path) = 0;
};

// By this process. The mount is reached by its path each time and only for a moment: whoever holds
// it open makes umount fail with EBUSY.
std::unique_ptr<MountHands> MakeLocalHands(std::string directory, dev_t device_number);

}  // namespace secretfs::fs
