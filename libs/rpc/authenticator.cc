#include "libs/rpc/authenticator.h"

#include <utility>

#include "absl/hash/hash.h"
#include "libs/base/error.h"
#include "libs/rpc/token.h"

namespace clm::rpc {

absl::Status InvalidToken() {
  return error::Make(absl::StatusCode::kUnauthenticated, "TOKEN_INVALID",
                     "authorization: the token is not valid");
}

CachingAuthenticator::CachingAuthenticator(Introspect introspect, const Clock& clock,
                                           absl::Duration ttl)
    : introspect_(std::move(introspect)), clock_(clock), ttl_(ttl) {}

std::optional<absl::StatusOr<Caller>> CachingAuthenticator::Lookup(absl::string_view token) {
  if (!ParseToken(token).has_value()) return InvalidToken();
  Shard& shard = ShardOf(token);
  absl::ReaderMutexLock lock(&shard.mu);
  const auto it = shard.entries.find(std::string(token));
  if (it == shard.entries.end() || it->second.expires <= clock_.Now()) return std::nullopt;
  return it->second.answer;
}

absl::StatusOr<Caller> CachingAuthenticator::Resolve(absl::string_view token, absl::Time deadline) {
  if (auto known = Lookup(token); known.has_value()) return *std::move(known);
  // The age of an answer counts from before the question.
  const absl::Time asked = clock_.Now();
  absl::StatusOr<Caller> answer = introspect_(token, deadline);
  if (!answer.ok() && answer.status().code() != absl::StatusCode::kUnauthenticated) return answer;
  Shard& shard = ShardOf(token);
  absl::MutexLock lock(&shard.mu);
  if (shard.entries.size() >= kMaxEntries) shard.entries.clear();
  shard.entries.insert_or_assign(std::string(token), Entry{answer, asked + ttl_});
  return answer;
}

CachingAuthenticator::Shard& CachingAuthenticator::ShardOf(absl::string_view token) {
  return shards_[absl::HashOf(token) % kShards];
}

}  // namespace clm::rpc
