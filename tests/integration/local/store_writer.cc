// A process for local_crash_test to kill: writes a local store as fast as it can and says on
// stdout, a line each, what is on disk.
//
//   store_writer put STORE KEYFILE NAME FIRST COUNT   puts FIRST, FIRST+1, … as NAME/number, and
//   the same
//                                                     number at the end of 256 KiB as NAME/twin, in
//                                                     one transaction
//   store_writer add STORE KEYFILE NAME COUNT         puts 1 … COUNT as NAME, and a version of
//   "shared" store_writer rekey STORE KEYFILE COUNT            replaces the key in KEYFILE, and drops the old one
// prints "ready" before the first write and the number after each. Exits with 1 at the first error.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "providers/local/local_store.h"

namespace secretfs::providers::local {
namespace {

constexpr size_t kTwinPadding = 256 << 10;

void Say(const std::string& text) {
  if (write(STDOUT_FILENO, (text + "\n").data(), text.size() + 1) < 0) _exit(2);
}

int Report(const absl::Status& status, const std::string& done) {
  if (status.ok()) {
    Say(done);
    return 0;
  }
  fprintf(stderr, "%s\n", std::string(MessageOf(status)).c_str());
  return 1;
}

absl::Status PutTwins(StoreTransaction& transaction, const std::string& name, long number) {
  const absl::Status first =
      transaction.Put(name + "/number", SecretBytes::CopyOf(Format("{}", number)));
  if (!first.ok()) return first;
  return transaction.Put(
      name + "/twin", SecretBytes::CopyOf(std::string(kTwinPadding, '.') + Format("{}", number)));
}

absl::Status AddBoth(StoreTransaction& transaction, const std::string& name, long number) {
  const absl::Status own = transaction.Put(name, SecretBytes::CopyOf(Format("{}", number)));
  if (!own.ok()) return own;
  return transaction.Put("shared", SecretBytes::CopyOf(Format("{} {}", name, number)));
}

int Write(int argc, char** argv) {
  if (argc < 5) return 2;
  const std::string what = argv[1];
  LocalKeySource key;
  key.key_file = argv[3];
  const SystemClock clock;
  LocalStore store(argv[2], KeySource(key), clock);
  const long first = what == "put" ? atol(argv[5]) : 1;
  const long count = atol(argv[argc - 1]);
  Say("ready");
  for (long number = first; number < first + count; ++number) {
    absl::Status status;
    if (what == "rekey") {
      status = store.ReplaceKey(key.key_file);
      if (status.ok()) status = store.DropReplacedKeys(key.key_file, {}).status();
    } else {
      status = store.Update([&](StoreTransaction& transaction) {
        return what == "put" ? PutTwins(transaction, argv[4], number)
                             : AddBoth(transaction, argv[4], number);
      });
    }
    if (Report(status, Format("{}", number)) != 0) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace secretfs::providers::local

int main(int argc, char** argv) { return secretfs::providers::local::Write(argc, argv); }
