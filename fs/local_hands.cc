#include <cerrno>
#include <utility>

#include "base/unique_fd.h"
#include "fs/mount_hands.h"
#include "fs/through_mount.h"

namespace secretfs::fs {
namespace {

class LocalHands final : public MountHands {
 public:
  LocalHands(std::string directory, dev_t device_number)
      : directory_(std::move(directory)), device_number_(device_number) {}

  bool Reach() override {
    root_ = OpenMountRoot(directory_, device_number_);
    return root_.valid();
  }
  void Release() override { root_.Reset(); }

  int SwitchData(const std::string& target) override {
    return SwitchDataThroughMount(root_.get(), target);
  }
  int Touch(const std::string& path) override {
    const int error = TouchThroughMount(root_.get(), path, device_number_);
    return error == EXDEV ? 0 : error;  // something else is mounted over it
  }
  int LookUpAgain(const std::string& path) override {
    return LookUpThroughMount(root_.get(), path);
  }

 private:
  const std::string directory_;
  const dev_t device_number_;
  UniqueFd root_;
};

}  // namespace

std::unique_ptr<MountHands> MakeLocalHands(std::string directory, dev_t device_number) {
  return std::make_unique<LocalHands>(std::move(directory), device_number);
}

}  // namespace secretfs::fs
