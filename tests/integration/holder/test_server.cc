// A server as small as the holder's tests need: it answers FUSE requests by hand, so that a mount
// with one file can be read, and writes down what the holder tells it.
//
//   test_server FOLDER
//
// FOLDER/mode says how it behaves (read at its start, so that a test changes it for the next one):
// "serve", or several words of those in Behaviour. FOLDER/events is appended to, one line an event.

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "base/kept_values.h"
#include "base/shared_records.h"
#include "base/text.h"
#include "fs/holder/holder_client.h"
#include "fs/holder/server_start.h"

namespace secretfs::fs {
namespace {

constexpr char kName[] = "value";
constexpr uint64_t kFileNode = 2;

struct Behaviour {
  std::set<std::string> words;
  bool Is(const std::string& word) const { return words.contains(word); }
};

class Events {
 public:
  explicit Events(const std::string& folder)
      : file_(open((folder + "/events").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)) {}
  void Add(const std::string& text) {
    const std::string line = text + "\n";
    if (write(file_.get(), line.data(), line.size()) < 0) perror("events");
  }

 private:
  UniqueFd file_;
};

// One connection: one file, whose content says which server answered.
class Fuse {
 public:
  Fuse(UniqueFd device, std::string content)
      : device_(std::move(device)), content_(std::move(content)) {
    if (pipe2(wake_, O_CLOEXEC) != 0) abort();
    thread_ = std::thread([this] { Run(); });
  }
  ~Fuse() {
    if (write(wake_[1], "x", 1) < 0) perror("wake");
    thread_.join();
    close(wake_[0]);
    close(wake_[1]);
  }
  bool ended() const { return ended_; }
  std::function<void()> on_end;

 private:
  void Run() {
    std::vector<char> buffer(1 << 17);
    while (true) {
      pollfd waits[2] = {{device_.get(), POLLIN, 0}, {wake_[0], POLLIN, 0}};
      poll(waits, 2, -1);
      if (waits[1].revents != 0) return;
      const ssize_t size = read(device_.get(), buffer.data(), buffer.size());
      if (size < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOENT)) continue;
      if (size < static_cast<ssize_t>(sizeof(fuse_in_header))) break;
      Answer(*reinterpret_cast<const fuse_in_header*>(buffer.data()),
             buffer.data() + sizeof(fuse_in_header));
    }
    ended_ = true;
    if (on_end) on_end();
  }

  void Reply(uint64_t unique, int error, const void* data = nullptr, size_t size = 0) {
    std::string reply(sizeof(fuse_out_header) + size, '\0');
    fuse_out_header header = {static_cast<uint32_t>(reply.size()), -error, unique};
    memcpy(reply.data(), &header, sizeof(header));
    if (size != 0) memcpy(reply.data() + sizeof(header), data, size);
    if (write(device_.get(), reply.data(), reply.size()) < 0 && errno != ENOENT) perror("reply");
  }

  fuse_attr AttributesOf(uint64_t node) const {
    fuse_attr attributes = {};
    attributes.ino = node;
    attributes.mode = node == kFileNode ? S_IFREG | 0644 : S_IFDIR | 0755;
    attributes.nlink = 1;
    attributes.size = node == kFileNode ? content_.size() : 0;
    return attributes;
  }

  void Answer(const fuse_in_header& request, const char* body) {
    switch (request.opcode) {
      case FUSE_INIT: {
        fuse_init_out out = {};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = 31;
        out.max_write = 1 << 16;
        Reply(request.unique, 0, &out, sizeof(out));
        return;
      }
      case FUSE_LOOKUP: {
        if (strcmp(body, kName) != 0) {
          Reply(request.unique, ENOENT);
          return;
        }
        fuse_entry_out out = {};
        out.nodeid = kFileNode;
        out.attr = AttributesOf(kFileNode);
        Reply(request.unique, 0, &out, sizeof(out));
        return;
      }
      case FUSE_GETATTR: {
        fuse_attr_out out = {};
        out.attr = AttributesOf(request.nodeid);
        Reply(request.unique, 0, &out, sizeof(out));
        return;
      }
      case FUSE_SETATTR: {
        touched_by_ = request.pid;
        fuse_attr_out out = {};
        out.attr = AttributesOf(request.nodeid);
        Reply(request.unique, 0, &out, sizeof(out));
        return;
      }
      case FUSE_OPEN: {
        fuse_open_out out = {};
        out.open_flags = FOPEN_DIRECT_IO;
        Reply(request.unique, 0, &out, sizeof(out));
        return;
      }
      case FUSE_READ: {
        fuse_read_in read = {};
        memcpy(&read, body, sizeof(read));
        const size_t begin = std::min<size_t>(read.offset, content_.size());
        Reply(request.unique, 0, content_.data() + begin,
              std::min<size_t>(read.size, content_.size() - begin));
        return;
      }
      case FUSE_RELEASE:
      case FUSE_FLUSH:
        Reply(request.unique, 0);
        return;
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        return;
      default:
        Reply(request.unique, ENOSYS);
    }
  }

 public:
  std::atomic<uint32_t> touched_by_ = 0;

 private:
  UniqueFd device_;
  std::string content_;
  int wake_[2];
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

std::string Status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return line.substr(line.find('\t') + 1);
  }
  return "?";
}

std::string OpenDescriptors() {
  std::string result;
  for (int i = 0; i < 1024; ++i) {
    if (fcntl(i, F_GETFD) >= 0) result += Format("{}{}", result.empty() ? "" : ",", i);
  }
  return result;
}

class Server final : public HolderClient::Events {
 public:
  Server(std::unique_ptr<HolderClient> client, Behaviour behaviour, std::string folder)
      : client_(std::move(client)),
        behaviour_(std::move(behaviour)),
        folder_(std::move(folder)),
        events_(folder_) {}

  int Run() {
    ServerSetup setup = client_->TakeSetup();
    generation_ = setup.generation;
    hands_thread_ = setup.hands_thread;
    rlimit core = {};
    getrlimit(RLIMIT_CORE, &core);
    events_.Add(
        Format("setup generation={} restarts={} upgrade={} user={} groups=[{}] effective={} "
               "bounding={} no_new_privs={} core={} kept={} control={}",
               setup.generation, setup.restarts, setup.is_upgrade, getuid(), Status("Groups"),
               Status("CapEff"), Status("CapBnd"), Status("NoNewPrivs"), core.rlim_cur,
               setup.kept_values.valid(), setup.control.valid()));
    events_.Add(Format("bound sandbox={} readable={}", setup.use_sandbox, setup.readable.size()));
    TryToChange(setup.payload.get());
    if (setup.kept_values.valid()) CountValues(setup.kept_values.get());
    const absl::StatusOr<UniqueFd> early = client_->OpenFile(folder_ + "/allowed");
    events_.Add(Format("early open {}", early.ok()));
    if (behaviour_.Is("die")) abort();
    if (behaviour_.Is("exit-3")) return 3;
    if (behaviour_.Is("fail-7")) {
      fprintf(stderr, "secretfs: the test wanted a failure\n");
      client_->Failed(7, "the test wanted a failure");
      return 7;
    }
    client_->Start(*this);
    if (!behaviour_.Is("never-prepared")) client_->Prepared();
    if (behaviour_.Is("die-prepared")) {
      mounted_.WaitForNotification();
      abort();
    }
    if (!behaviour_.Is("never-ready") && !behaviour_.Is("never-prepared")) {
      mounted_.WaitForNotification();
      client_->Ready();
    }
    if (behaviour_.Is("check")) Check();
    finished_.WaitForNotification();
    return 0;
  }

  void OnMount(GivenMount mount) override {
    absl::StatusOr<SharedRecords> records = SharedRecords::Attach(mount.state.get());
    int count = -1;
    if (records.ok()) {
      count = 0;
      records->ForEach([&](RecordId, uint32_t, std::span<const std::byte>) { ++count; });
      const std::byte byte{1};
      if (records->Insert(1, std::span(&byte, 1)).ok()) records->Commit();
    }
    events_.Add(
        Format("mount {} taken_over={} records={}", mount.id.value(), mount.taken_over, count));
    const MountId id = mount.id;
    auto fuse = std::make_unique<Fuse>(std::move(mount.device), Format("server {}", generation_));
    fuse->on_end = [this, id] { client_->MountEnded(id, "unmounted from outside"); };
    mounts_[id] = std::move(fuse);
    if (!mounted_.HasBeenNotified()) mounted_.Notify();
  }
  void OnEndMount(MountId mount) override {
    events_.Add(Format("end_mount {}", mount.value()));
    if (behaviour_.Is("hang")) return;
    mounts_.erase(mount);
    client_->MountEnded(mount, "unmount requested");
  }
  void OnHandOver() override {
    events_.Add(Format("hand_over {}", generation_));
    if (behaviour_.Is("hang")) return;
    mounts_.clear();
    client_->HandedOver();
    Finish();
  }
  void OnExit() override {
    events_.Add("exit");
    if (!behaviour_.Is("hang")) Finish();
  }
  void OnHolderGone() override {
    events_.Add("holder_gone");
    Finish();
  }

 private:
  void Finish() {
    if (!mounted_.HasBeenNotified()) mounted_.Notify();
    if (!finished_.HasBeenNotified()) finished_.Notify();
  }

  // As a server that was taken over would disarm the next one.
  void TryToChange(int payload) {
    char text[64] = {};
    const ssize_t size = pread(payload, text, sizeof(text) - 1, 0);
    const bool written = pwrite(payload, "x", 1, 0) >= 0;
    const bool resized = ftruncate(payload, 0) == 0 || ftruncate(payload, 1 << 16) == 0;
    void* const map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, payload, 0);
    events_.Add(Format("payload \"{}\" written={} resized={} mapped={}", size < 0 ? "?" : text,
                       written, resized, map != MAP_FAILED));
  }

  // One more each time; proves that the memory is the same.
  void CountValues(int memory) {
    absl::StatusOr<std::unique_ptr<KeptValues>> values = KeptValues::Attach(memory);
    if (!values.ok()) {
      events_.Add("kept values damaged");
      return;
    }
    events_.Add(Format("kept values {}", (*values)->size()));
    const std::byte byte{1};
    (*values)->Put(Format("value {}", generation_), std::span(&byte, 1));
  }

  // What the holder does on request; each line is one finding.
  void Check() {
    const MountId id = mounts_.begin()->first;
    events_.Add(Format("touch {}", client_->Touch(id, kName)));
    events_.Add(Format("touched by hands {}", mounts_.begin()->second->touched_by_ ==
                                                  static_cast<uint32_t>(hands_thread_)));
    events_.Add(Format("touch missing {}", client_->Touch(id, "missing")));
    events_.Add(Format("touch outside {}", client_->Touch(id, "../value")));
    events_.Add(Format("touch absolute {}", client_->Touch(id, "/etc/passwd")));
    events_.Add(Format("touch nothing {}", client_->Touch(MountId(99), kName)));
    events_.Add(Format("look up {}", client_->LookUpAgain(id, kName)));
    events_.Add(Format("switch outside {}", client_->SwitchData(id, "../x")));
    for (const char* name : {"allowed", "denied", "link-inside", "link-outside", "listed/file",
                             "listed/deeper/file", "listed/../denied"}) {
      const absl::StatusOr<UniqueFd> file = client_->OpenFile(folder_ + "/" + name);
      std::string found;
      if (file.ok()) {
        char text[32] = {};
        if (read(file->get(), text, sizeof(text) - 1) >= 0) found = text;
        if (write(file->get(), "x", 1) >= 0) found += " WRITABLE";
      } else {
        found = absl::StatusCodeToString(file.status().code());
      }
      events_.Add(Format("open {}: {}", name, found));
    }
    events_.Add(Format("watch allowed {}", client_->WatchFile(folder_ + "/allowed").ok()));
    events_.Add(Format("watch denied {}", client_->WatchFile(folder_ + "/denied").ok()));
    events_.Add(Format("watch /etc {}", client_->WatchFile("/etc/hosts").ok()));
    const std::optional<std::vector<gid_t>> groups = client_->GroupsOf(getppid());
    events_.Add(Format("groups of the holder {}", groups.has_value()));
    events_.Add(Format("groups of nobody {}", client_->GroupsOf(1 << 29).has_value()));
    events_.Add("checked");
  }

  std::unique_ptr<HolderClient> client_;
  const Behaviour behaviour_;
  const std::string folder_;
  secretfs::fs::Events events_;
  uint64_t generation_ = 0;
  pid_t hands_thread_ = 0;
  std::map<MountId, std::unique_ptr<Fuse>> mounts_;
  absl::Notification mounted_;
  absl::Notification finished_;
};

int Main(const std::string& folder) {
  Behaviour behaviour;
  std::ifstream mode(folder + "/mode");
  for (std::string word; mode >> word;) behaviour.words.insert(word);
  Events events(folder);
  absl::StatusOr<UniqueFd> socket = BecomeServer();
  if (!socket.ok()) {
    fprintf(stderr, "%s\n", socket.status().ToString().c_str());
    return 99;
  }
  // events' own descriptor is the last one.
  events.Add(Format("descriptors {}", OpenDescriptors()));
  absl::StatusOr<std::unique_ptr<HolderClient>> client = HolderClient::Connect(*std::move(socket));
  if (!client.ok()) {
    fprintf(stderr, "%s\n", client.status().ToString().c_str());
    return 98;
  }
  Server server(*std::move(client), behaviour, folder);
  const int code = server.Run();
  _exit(code);
}

}  // namespace
}  // namespace secretfs::fs

int main(int argc, char** argv) { return argc == 2 ? secretfs::fs::Main(argv[1]) : 97; }
