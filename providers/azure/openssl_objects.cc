#include "providers/azure/openssl_objects.h"

#include <limits>

namespace secretfs::providers::azure {
namespace {

int Write(BIO* bio, const char* data, size_t size, size_t* written) {
  auto* builder = static_cast<SecretBuilder*>(BIO_get_data(bio));
  if (!builder->Append(std::string_view(data, size)).ok()) return 0;
  *written = size;
  return 1;
}

long Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* SecretMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "locked memory");
    if (made != nullptr) {
      BIO_meth_set_write_ex(made, Write);
      BIO_meth_set_ctrl(made, Control);
    }
    return made;
  }();
  return method;
}

}  // namespace

UniqueBio ReadingBio(std::span<const std::byte> bytes) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) return nullptr;
  // OpenSSL takes a null pointer for an error.
  static constexpr std::byte kNothing{};
  const void* data = bytes.empty() ? &kNothing : bytes.data();
  return UniqueBio(BIO_new_mem_buf(data, static_cast<int>(bytes.size())));
}

UniqueBio WritingBio(SecretBuilder& builder) {
  if (SecretMethod() == nullptr) return nullptr;
  UniqueBio bio(BIO_new(SecretMethod()));
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio.get(), &builder);
  BIO_set_init(bio.get(), 1);
  return bio;
}

}  // namespace secretfs::providers::azure
