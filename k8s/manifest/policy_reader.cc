#include "k8s/manifest/policy_reader.h"

namespace secretfs::k8s {
namespace {

std::optional<Duration> ReadDuration(const Fields& fields, std::string_view name) {
  const std::optional<Value> value = fields.Find(name);
  return value ? value->AsDuration() : std::nullopt;
}

std::optional<Duration> ReadPositiveDuration(const Fields& fields, std::string_view name) {
  std::optional<Duration> duration = ReadDuration(fields, name);
  if (duration && *duration <= Duration::zero()) {
    fields.Find(name)->Problem("is zero; expected a duration longer than that");
    return std::nullopt;
  }
  return duration;
}

void Override(const std::optional<Duration>& from, Duration& to) {
  if (from) to = *from;
}

}  // namespace

PolicyOverrides ReadPolicy(const Value& block) {
  const Fields fields(
      block, {"ttl", "maxStale", "staleIfError", "negativeTtl", "deadline", "graceOnDelete"});
  PolicyOverrides policy;
  policy.ttl = ReadPositiveDuration(fields, "ttl");
  policy.max_stale = ReadDuration(fields, "maxStale");
  policy.stale_if_error = ReadDuration(fields, "staleIfError");
  policy.negative_ttl = ReadDuration(fields, "negativeTtl");
  policy.deadline = ReadPositiveDuration(fields, "deadline");
  policy.grace_on_delete = ReadDuration(fields, "graceOnDelete");
  return policy;
}

cache::Policy ApplyPolicy(cache::Policy base, const PolicyOverrides& overrides) {
  Override(overrides.ttl, base.ttl);
  Override(overrides.max_stale, base.max_stale);
  Override(overrides.stale_if_error, base.stale_if_error);
  Override(overrides.negative_ttl, base.negative_ttl);
  Override(overrides.deadline, base.deadline);
  if (overrides.grace_on_delete) base.grace_on_delete = overrides.grace_on_delete;
  return base;
}

}  // namespace secretfs::k8s
