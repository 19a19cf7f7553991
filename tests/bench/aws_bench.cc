// Cold secrets of AWS: COUNT of them read through the cache from moto, in batches of 20 and one by
// one, with the requests that the server counted. The reference is the same requests sent over the
// same HTTP client with 64 at a time, without signatures, parsing and cache.
//
// aws_bench COUNT: prints {"batched": {...}, "single": {...}} with reads_per_second, requests,
// reference_per_second (secrets) and errors of each. moto answers a few hundred requests a second,
// so ratios say more than rates.

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/io_thread.h"
#include "base/random.h"
#include "base/text.h"
#include "cache/cache.h"
#include "providers/aws/aws_provider.h"
#include "providers/http/http_client.h"
#include "tests/integration/aws/moto_server.h"

namespace secretfs {
namespace {

using nlohmann::json;
using Time = std::chrono::steady_clock;

constexpr int kAtOnce = 64;
constexpr int kRounds = 3;
constexpr size_t kBatch = 20;

std::string NameOf(int i) { return Format("bench/s{}", i); }

double SecondsSince(Time::time_point start) {
  return std::chrono::duration<double>(Time::now() - start).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

providers::CredentialSource Inline(std::string_view text) {
  providers::CredentialSource source;
  source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(text));
  return source;
}

std::shared_ptr<providers::Provider> MakeProvider(const std::string& address, IoThread& io,
                                                  const Clock& clock) {
  providers::AwsStoreConfig config;
  config.region = testing::MotoServer::kRegion;
  config.endpoint = address;
  providers::AwsStaticAuth keys;
  keys.access_key_id = Inline("AKIDBENCH");
  keys.secret_access_key = Inline("secret");
  config.auth = keys;
  return *providers::MakeAwsProvider(config, io.context(), clock, io.scheduler());
}

// One cold cache; reads COUNT secrets, newest versions together or each by its stage alone.
double ReadAll(const std::string& address, int count, bool batched, std::atomic<int>& errors) {
  IoThread io;
  io.Start();
  const SystemClock clock;
  SystemRandom random;
  double seconds = 0;
  {
    cache::Cache cache(cache::CacheOptions(), io.context(), clock, io.scheduler(), random);
    const cache::StoreId store = cache.AddStore(
        {.name = "aws", .identity = "bench", .provider = MakeProvider(address, io, clock)});
    cache::Policy policy;
    policy.deadline = std::chrono::minutes(2);
    std::vector<cache::EntryKey> keys;
    std::vector<cache::Interest> interests;
    for (int i = 0; i < count; ++i) {
      keys.push_back({store, {NameOf(i), batched ? "" : "AWSCURRENT"}});
      interests.push_back(cache.AddInterest(keys.back(), policy, true, nullptr));
    }
    std::atomic<int> left = count;
    std::promise<void> done;
    const Time::time_point start = Time::now();
    if (batched) cache.Prefetch(keys);
    for (const cache::EntryKey& key : keys) {
      cache.Read(key, [&](const absl::StatusOr<cache::EntrySnapshot>& result) {
        if (!result.ok() || result->secret == nullptr) ++errors;
        if (--left == 0) done.set_value();
      });
    }
    done.get_future().wait();
    seconds = SecondsSince(start);
    interests.clear();
    std::promise<void> closed;
    cache.Shutdown(std::chrono::seconds(5), [&closed] { closed.set_value(); });
    closed.get_future().wait();
  }
  io.Stop();
  return count / seconds;
}

// Sends every kAtOnce-th of `bodies` from `first` on, one after the other.
asio::awaitable<int> SendSome(providers::HttpClient& client, const std::string& address,
                              const std::string& action, const std::vector<std::string>& bodies,
                              size_t first) {
  int errors = 0;
  for (size_t i = first; i < bodies.size(); i += kAtOnce) {
    providers::HttpRequest request;
    request.method = "POST";
    request.url = address + "/";
    // moto takes region and service from here, and does not check the signature.
    request.headers.emplace_back(
        "Authorization",
        SecretBytes::CopyOf(Format("AWS4-HMAC-SHA256 Credential=AKIDBENCH/20260101/{}/"
                                   "secretsmanager/aws4_request, SignedHeaders=host, Signature=0",
                                   testing::MotoServer::kRegion)));
    request.headers.emplace_back("X-Amz-Target",
                                 SecretBytes::CopyOf(Format("secretsmanager.{}", action)));
    request.headers.emplace_back("Content-Type", SecretBytes::CopyOf("application/x-amz-json-1.1"));
    request.body = SecretBytes::CopyOf(bodies[i]);
    request.body_limit = 16 << 20;
    const absl::StatusOr<providers::HttpResponse> response =
        co_await client.Send(std::move(request));
    if (!response.ok() || response->status != 200) ++errors;
  }
  co_return errors;
}

double SendAll(const std::string& address, const std::string& action,
               const std::vector<std::string>& bodies, int count) {
  IoThread io;
  io.Start();
  const SystemClock clock;
  auto client = std::make_unique<providers::HttpClient>(
      io.context(), clock,
      providers::HttpClientOptions{.tls = {}, .connections_per_host = kAtOnce});
  const Time::time_point start = Time::now();
  std::vector<std::future<int>> parts;
  for (size_t first = 0; first < kAtOnce; ++first) {
    parts.push_back(asio::co_spawn(io.context(), SendSome(*client, address, action, bodies, first),
                                   asio::use_future));
  }
  for (std::future<int>& part : parts) {
    if (part.get() > 0) fprintf(stderr, "aws_bench: a request of the reference failed\n");
  }
  const double seconds = SecondsSince(start);
  std::promise<void> gone;
  io.Post([&] {
    client.reset();
    gone.set_value();
  });
  gone.get_future().wait();
  io.Stop();
  return count / seconds;
}

json Measure(testing::MotoServer& moto, int count, bool batched,
             const std::vector<std::string>& bodies) {
  std::vector<double> ours, reference;
  std::atomic<int> errors = 0;
  size_t requests = 0;
  for (int round = 0; round < kRounds; ++round) {
    moto.Requests();
    ours.push_back(ReadAll(moto.address(), count, batched, errors));
    requests = moto.Requests().size();
    reference.push_back(
        SendAll(moto.address(), batched ? "BatchGetSecretValue" : "GetSecretValue", bodies, count));
  }
  return {{"reads_per_second", Median(ours)},
          {"reference_per_second", Median(reference)},
          {"requests", requests},
          {"errors", errors.load()}};
}

int Run(int count) {
  testing::MotoServer moto;
  std::vector<std::string> single, batches;
  for (int i = 0; i < count; ++i) {
    moto.Call("secretsmanager", "create_secret",
              {{"Name", NameOf(i)}, {"SecretString", std::string(1024, 'x')}});
    single.push_back(json{{"SecretId", NameOf(i)}, {"VersionStage", "AWSCURRENT"}}.dump());
  }
  for (int i = 0; i < count; i += kBatch) {
    json ids = json::array();
    for (int j = i; j < std::min<int>(count, i + kBatch); ++j) ids.push_back(NameOf(j));
    batches.push_back(json{{"SecretIdList", ids}}.dump());
  }
  const json result = {{"batched", Measure(moto, count, true, batches)},
                       {"single", Measure(moto, count, false, single)}};
  puts(result.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace secretfs

int main(int argc, char** argv) {
  const int count = argc == 2 ? atoi(argv[1]) : 0;
  if (count > 0) return secretfs::Run(count);
  fprintf(stderr, "usage: aws_bench COUNT\n");
  return 2;
}
