// What networks, broken servers and well-meant boxes on the way do.

#include <cstdlib>
#include <string>

#include "base/status.h"
#include "base/text.h"
#include "tests/conformance/case_functions.h"

namespace secretfs::conformance {
namespace {

using fakes::FaultProxy;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kShortDeadline(1500);
// Between the deadline and the reader's error, on a busy machine.
constexpr milliseconds kPromptness(5000);

void PutValue(CaseRun& run) { run.store().Put(run.Key(), run.Value("behind the proxy")); }

void ExpectPutValue(CaseRun& run, const Outcome& outcome) {
  run.ExpectValue(outcome, run.Value("behind the proxy"));
}

// The reader gets the case's error when the deadline is over, and not long after.
void ErrorAtTheDeadline(CaseRun& run, FaultProxy::Fault fault) {
  PutValue(run);
  run.policy.deadline = kShortDeadline;
  run.AddFault(run.Key(), std::move(fault));
  const Outcome outcome = run.Read(run.Key());
  run.ExpectError(outcome);
  EXPECT_GE(outcome.took, kShortDeadline / 2);
  EXPECT_LT(outcome.took, kShortDeadline + kPromptness);
}

// The reader gets the case's error for such an answer, before the deadline.
Outcome ErrorForAnswer(CaseRun& run, FaultProxy::Reply reply) {
  PutValue(run);
  FaultProxy::Fault fault;
  fault.instead = std::move(reply);
  run.AddFault(run.Key(), std::move(fault));
  Outcome outcome = run.Read(run.Key());
  run.ExpectError(outcome);
  return outcome;
}

// Sets variables of the environment, and sets them back.
class ChangedEnvironment {
 public:
  void Set(const char* name, const std::string& value) {
    Remember(name);
    ::setenv(name, value.c_str(), 1);
  }
  void Unset(const char* name) {
    Remember(name);
    ::unsetenv(name);
  }
  ~ChangedEnvironment() {
    for (const auto& [name, value] : before_) {
      if (value.has_value()) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
  }

 private:
  void Remember(const char* name) {
    const char* value = ::getenv(name);
    before_.try_emplace(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
  }
  std::map<std::string, std::optional<std::string>> before_;
};

}  // namespace

void ThrottledRetryAfter(CaseRun& run) {
  PutValue(run);
  run.AddFault(run.Key(), {.instead = run.store().Throttled(seconds(1))}, 1);
  const Outcome outcome = run.Read(run.Key());
  ExpectPutValue(run, outcome);
  EXPECT_GE(outcome.took, milliseconds(950)) << "Retry-After was not kept";
  EXPECT_EQ(run.ReadsOf(run.Key()), 2u);
}

void Throttled(CaseRun& run) {
  PutValue(run);
  run.AddFault(run.Key(), {.instead = run.store().Throttled(std::nullopt)}, 2);
  ExpectPutValue(run, run.Read(run.Key()));
  EXPECT_EQ(run.ReadsOf(run.Key()), 3u);
}

void ThrottledForEver(CaseRun& run) {
  ErrorAtTheDeadline(run, {.instead = run.store().Throttled(std::nullopt)});
  EXPECT_LE(run.ReadsOf(run.Key()), 12u)
      << "too many attempts in " << kShortDeadline.count() << " ms";
}

void SlowFirstByte(CaseRun& run) { ErrorAtTheDeadline(run, {.hold = true}); }

void SlowBody(CaseRun& run) { ErrorAtTheDeadline(run, {.stall_after = 10}); }

void CutMidBody(CaseRun& run) {
  PutValue(run);
  run.AddFault(run.Key(), {.cut_after = 10}, 1);
  ExpectPutValue(run, run.Read(run.Key()));
  EXPECT_EQ(run.ReadsOf(run.Key()), 2u);
}

void CutEveryTime(CaseRun& run) { ErrorAtTheDeadline(run, {.cut_after = 10}); }

void BodyOverLimit(CaseRun& run) {
  FaultProxy::Reply reply;
  reply.headers = {{"Content-Type", "application/json"}};
  reply.body = Format("{{\"{}\":\"{}\"}}", kMarker, std::string(24 << 20, 'x'));
  ErrorForAnswer(run, std::move(reply));
}

void WrongContentType(CaseRun& run) {
  FaultProxy::Reply reply;
  reply.headers = {{"Content-Type", "text/html"}};
  reply.body = Format("<html><title>Please log in</title>{}</html>", kMarker);
  ErrorAtTheDeadline(run, {.instead = std::move(reply)});
}

void InvalidUtf8(CaseRun& run) {
  FaultProxy::Fault fault;
  // Inside the first string of the answer, wherever that is.
  fault.change = [](FaultProxy::Reply& reply) {
    const size_t quote = reply.body.find('"');
    reply.body.insert(quote == std::string::npos ? 0 : quote + 1, "\xff\xfe\xc3");
  };
  ErrorAtTheDeadline(run, std::move(fault));
}

void RedirectElsewhere(CaseRun& run) {
  FaultProxy other(run.store().address());
  FaultProxy::Reply reply;
  reply.status = 307;
  reply.headers = {{"Location", other.address() + "/elsewhere"}};
  const Outcome outcome = ErrorForAnswer(run, std::move(reply));
  EXPECT_EQ(other.connection_count(), 0u) << "credentials may have gone to another server";
  const std::string address = Format("127.0.0.1:{}", other.port());
  EXPECT_NE(MessageOf(outcome.status).find(address), std::string_view::npos) << outcome.status;
}

void EnvironmentProxy(CaseRun& run) {
  PutValue(run);
  // Without TLS no proxy gets what goes to this machine: credentials are in it.
  run.UseTls(run.authority().Issue("store"));
  FaultProxy proxy("");
  ChangedEnvironment environment;
  for (const char* name : {"no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"}) {
    environment.Unset(name);
  }
  environment.Set("http_proxy", proxy.address());
  environment.Set("https_proxy", proxy.address());
  ExpectPutValue(run, run.Read(run.Key()));
  const std::string host = Format("127.0.0.1:{}", run.proxy().port());
  bool asked = false;
  for (const FaultProxy::Request& request : proxy.requests()) {
    asked = asked || request.target.find(host) != std::string::npos;
  }
  EXPECT_TRUE(asked) << "the proxy was not asked for " << host;
}

}  // namespace secretfs::conformance
