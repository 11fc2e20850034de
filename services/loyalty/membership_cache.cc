#include "services/loyalty/membership_cache.h"

#include <memory>
#include <optional>
#include <utility>

#include "clm/contact/v1/contact.pb.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/cache/cache_follower.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/membership_part.h"

namespace clm::loyalty {
namespace {

// The only kind of answers kept in the memory of the process: the part of a contact.
constexpr int kPartKind = 0;

// The survivor's name is another one: a part never has that, but for one that is on its way to a
// caller.
std::optional<HeldMembership> HeldIn(const cache::Part& part, const MemberKey& key) {
  return MembershipIn(part.payload, NameOf(key));
}

EntityKey ContactOf(const MemberKey& key) { return {key.tenant, key.contact}; }
ProgramKey ProgramOf(const MemberKey& key) { return {key.tenant, key.program}; }

}  // namespace

void MembershipCache::GetStored(const MemberKey& key, absl::Time deadline, Done done) {
  const absl::Time now = clock_.Now();
  reader_.GetMember(
      key, deadline,
      [this, key, now, done = std::move(done)](absl::StatusOr<LoyaltyReader::Found> found) mutable {
        if (!found.ok()) return done(found.status());
        programs_.Confirm(ProgramOf(key), found->program_version, now);
        done(std::move(found->member));
      });
}

void MembershipCache::GetMember(const MemberKey& key, const cache::Freshness& freshness,
                                absl::Time deadline, Done done) {
  if (hash_ == nullptr) return GetStored(key, deadline, std::move(done));
  const auto program = programs_.Recall(ProgramOf(key), clock_.Now());
  if (!program) return GetStored(key, deadline, std::move(done));
  std::optional<cache::NearCache::Ticket> ticket;
  if (near_ != nullptr && freshness.max_staleness > absl::ZeroDuration()) {
    if (auto member = Recall(key, *program, freshness)) return done(*std::move(member));
    ticket = near_->Begin(ContactOf(key), kPartKind, freshness.now);
  }
  hash_->ReadAsync(ContactOf(key), {kMembershipsPart},
                   [this, key, deadline, program = *program, ticket,
                    done = std::move(done)](absl::StatusOr<cache::Parts> parts) mutable {
                     if (!parts.ok()) return GetStored(key, deadline, std::move(done));
                     const auto part = parts->find(kMembershipsPart);
                     if (part == parts->end()) {
                       return OnWorker(key, deadline, std::move(done), &MembershipCache::Fill);
                     }
                     const auto found = HeldIn(part->second, key);
                     // No member, or one who was erased or merged: that is for the database to say.
                     if (!found) return GetStored(key, deadline, std::move(done));
                     if (found->program_version < program) {
                       return OnWorker(key, deadline, std::move(done), &MembershipCache::Renew);
                     }
                     programs_.Heard(ProgramOf(key), found->program_version);
                     std::string member(found->member);
                     if (ticket) {
                       near_->Put(ContactOf(key), kPartKind, *ticket,
                                  std::move(part->second.payload));
                     }
                     done(std::move(member));
                   });
}

std::optional<std::string> MembershipCache::Recall(const MemberKey& key, int64_t program_version,
                                                   const cache::Freshness& freshness) {
  const std::optional<std::string> part =
      near_->Get(ContactOf(key), kPartKind, freshness.now, freshness.max_staleness);
  if (!part) return std::nullopt;
  const auto found = MembershipIn(*part, NameOf(key));
  // What time or a change of the programme has made old is not given, however much is allowed.
  const bool good =
      found && found->program_version >= program_version && freshness.now < found->hold_until;
  return good ? std::optional<std::string>(found->member) : std::nullopt;
}

void MembershipCache::OnWorker(const MemberKey& key, absl::Time deadline, Done done,
                               void (MembershipCache::*run)(const MemberKey&, absl::Time, Done)) {
  if (++fills_ > kMostFills) {
    --fills_;
    return GetStored(key, deadline, std::move(done));
  }
  // Shared, because a refused task must still answer.
  const auto shared = std::make_shared<Done>(std::move(done));
  const bool posted = workers_.Post([this, key, deadline, shared, run] {
    (this->*run)(key, deadline,
                 [shared](absl::StatusOr<std::string> member) { (*shared)(std::move(member)); });
    --fills_;
  });
  if (posted) return;
  --fills_;
  GetStored(key, deadline, std::move(*shared));
}

absl::StatusOr<cache::Part> MembershipCache::Load(const EntityKey& contact, absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const LoyaltyReader::CustomerMemberships found,
                       reader_.Memberships(contact, deadline));
  contact::v1::CustomerContext context;
  for (const v1::Membership& membership : found.memberships) {
    const auto name = ParseMemberName("member", membership.member().name());
    if (name.ok()) {
      programs_.Confirm(ProgramOf(*name), membership.program_version(), found.as_of);
    }
    *context.add_memberships() = membership;
  }
  return cache::Part{.version = found.version,
                     .as_of = found.as_of,
                     .payload = context.SerializeAsString(),
                     // What changes a survivor's is not told of those merged into them.
                     .hold_until = found.moved ? absl::InfinitePast() : found.hold_until};
}

void MembershipCache::Fill(const MemberKey& key, absl::Time deadline, Done done) {
  const auto parts = hash_->ReadThrough(
      ContactOf(key), {kMembershipsPart},
      [&](const std::vector<std::string>&) -> absl::StatusOr<cache::Parts> {
        cache::Parts loaded;
        CLM_ASSIGN_OR_RETURN(loaded[kMembershipsPart], Load(ContactOf(key), deadline));
        return loaded;
      });
  if (!parts.ok()) return done(parts.status());
  const auto part = parts->find(kMembershipsPart);
  if (part == parts->end()) return GetStored(key, deadline, std::move(done));
  const auto found = HeldIn(part->second, key);
  if (!found) return GetStored(key, deadline, std::move(done));
  const auto program = programs_.Recall(ProgramOf(key), clock_.Now());
  if (program && found->program_version < *program) return Renew(key, deadline, std::move(done));
  done(std::string(found->member));
}

void MembershipCache::Renew(const MemberKey& key, absl::Time deadline, Done done) {
  const auto part = Load(ContactOf(key), deadline);
  if (!part.ok()) return done(part.status());
  // Nobody may have changed the member, so that the version is the same. When Redis does not answer
  // the next reader finds what is old and comes here again.
  const cache::PartChange change{.customer = ContactOf(key),
                                 .field = kMembershipsPart,
                                 .version = part->version,
                                 .as_of = part->as_of,
                                 .payload = part->payload,
                                 .only_filled = true,
                                 .hold_until = part->hold_until};
  hash_->Apply(absl::MakeConstSpan(&change, 1)).IgnoreError();
  const auto found = HeldIn(*part, key);
  if (!found) return GetStored(key, deadline, std::move(done));
  done(std::string(found->member));
}

absl::Status MembershipCache::MembersCommitted(const CommittedMembers& committed) {
  for (const auto& [program, version] : committed.programs) programs_.Heard(program, version);
  absl::Status told = TellHash(committed);
  // Afterwards: whoever reads from then on finds what is new.
  if (near_ != nullptr) {
    for (const EntityKey& contact : committed.contacts) near_->Drop(contact);
    for (const EntityKey& contact : committed.merged) near_->Drop(contact);
  }
  return told;
}

absl::Status MembershipCache::TellHash(const CommittedMembers& committed) {
  if (hash_ == nullptr) return absl::OkStatus();
  std::vector<cache::PartChange> changes;
  changes.reserve(committed.contacts.size() + committed.merged.size());
  for (const EntityKey& contact : committed.contacts) {
    const int shard = ShardOf(contact.tenant, contact.id);
    for (const auto& [moved, off] : committed.heads) {
      if (moved != shard) continue;
      changes.push_back(
          {contact, kMembershipsPart, off, absl::UnixEpoch(), std::nullopt, /*only_filled=*/true});
    }
  }
  for (const EntityKey& contact : committed.merged) {
    changes.push_back({contact, kMembershipsPart, cache::kFinalVersion, absl::UnixEpoch(),
                       std::nullopt, /*only_filled=*/false});
  }
  if (changes.empty()) return absl::OkStatus();
  return hash_->Apply(changes);
}

std::vector<cache::PartChange> MembershipCache::Outdated(absl::Span<const journal::Placed> events) {
  cache::Tombstones tombstones;
  for (const journal::Placed& placed : events) {
    const auto subject = ParseMemberName("subject", placed.event.subject());
    if (!subject.ok()) continue;  // Of a programme, an order, a coupon, a referral.
    tombstones.Add(ContactOf(*subject), kMembershipsPart, placed.off);
    if (placed.event.type() != v1::MembersMerged::descriptor()->full_name()) continue;
    v1::MembersMerged merge;
    if (!merge.ParseFromString(placed.event.payload())) continue;
    const auto merged = ParseMemberName("merged_member", merge.merged_member());
    if (merged.ok()) tombstones.Add(ContactOf(*merged), kMembershipsPart, cache::kFinalVersion);
  }
  return tombstones.Take();
}

}  // namespace clm::loyalty
