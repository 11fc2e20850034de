#include "services/contact/contact_context.h"

#include <utility>

#include "absl/time/clock.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/cache/cache_follower.h"
#include "services/contact/contact_proto.h"
#include "services/contact/upsert.h"

namespace clm::contact {
namespace {

// Both parts are CustomerContext messages that hold their own fields only, so that the whole is
// their merge. The times come from the parts themselves.
absl::StatusOr<v1::CustomerContext> Assemble(const cache::Parts& parts,
                                             const std::vector<std::string>& fields) {
  v1::CustomerContext context;
  for (const auto& field : fields) {
    const auto it = parts.find(field);
    if (it == parts.end() || it->second.payload.empty()) continue;
    if (!context.MergeFromString(it->second.payload)) {
      return error::Internal("a part of the customer context does not parse");
    }
    v1::ContextPart* const part =
        field == kCorePart ? context.mutable_contact_part() : context.mutable_stages_part();
    part->set_version(it->second.version);
    ToProto(it->second.as_of, part->mutable_as_of_time());
  }
  return context;
}

}  // namespace

ContactContext::ContactContext(ContactReader* reader, cache::CustomerHash* hash,
                               StagesSource stages)
    : reader_(reader), hash_(hash), stages_(std::move(stages)) {}

absl::StatusOr<cache::Part> ContactContext::LoadCore(const EntityKey& contact,
                                                     absl::Time deadline) {
  const absl::Time as_of = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
  CLM_ASSIGN_OR_RETURN(const ContactReader::Whole whole, reader_->GetWhole(contact, deadline));
  // Only what is cached under its own id can be kept true.
  if (whole.stored.contact.key != contact) return Moved(whole.stored.contact.key.id);
  v1::CustomerContext context;
  *context.mutable_contact() = ToProto(whole.stored.contact, whole.stored.aliases);
  const std::string& tenant = contact.tenant;
  for (const auto& s : whole.around.subscriptions)
    *context.add_subscriptions() = ToProto(tenant, s);
  for (const auto& act : FoldConsent(whole.around.consents)) *context.add_consents() = ToProto(act);
  for (const auto& s : whole.around.suppressions) *context.add_suppressions() = ToProto(s);
  if (whole.around.last_event_time) {
    ToProto(*whole.around.last_event_time, context.mutable_last_event_time());
  }
  return cache::Part{whole.around.version, as_of, context.SerializeAsString()};
}

absl::StatusOr<cache::Part> ContactContext::LoadStages(const EntityKey& contact,
                                                       absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(v1::CustomerContext context, stages_(contact, deadline));
  cache::Part part;
  part.version = context.stages_part().version();
  part.as_of = FromProto(context.stages_part().as_of_time());
  context.clear_stages_part();
  part.payload = context.SerializeAsString();
  return part;
}

absl::StatusOr<v1::CustomerContext> ContactContext::Load(const EntityKey& contact,
                                                         absl::Time deadline) {
  cache::Parts parts;
  auto core = LoadCore(contact, deadline);
  if (const auto survivor = MovedTo(core.status()))
    return Load({contact.tenant, *survivor}, deadline);
  CLM_RETURN_IF_ERROR(core.status());
  parts[kCorePart] = *std::move(core);
  CLM_ASSIGN_OR_RETURN(parts[kStagesPart], LoadStages(contact, deadline));
  return Assemble(parts, {kCorePart, kStagesPart});
}

absl::StatusOr<cache::Parts> ContactContext::Through(const EntityKey& contact,
                                                     const std::vector<std::string>& fields,
                                                     absl::Time deadline) {
  return hash_->ReadThrough(
      contact, fields,
      [&](const std::vector<std::string>& missing) -> absl::StatusOr<cache::Parts> {
        cache::Parts parts;
        for (const auto& field : missing) {
          if (field == kCorePart) {
            CLM_ASSIGN_OR_RETURN(parts[field], LoadCore(contact, deadline));
          } else {
            CLM_ASSIGN_OR_RETURN(parts[field], LoadStages(contact, deadline));
          }
        }
        return parts;
      });
}

absl::StatusOr<v1::CustomerContext> ContactContext::Get(const EntityKey& contact,
                                                        absl::Time deadline) {
  if (hash_ == nullptr) return Load(contact, deadline);
  const std::vector<std::string> fields = {kCorePart, kStagesPart};
  const auto parts = Through(contact, fields, deadline);
  if (const auto survivor = MovedTo(parts.status()))
    return Get({contact.tenant, *survivor}, deadline);
  if (!parts.ok()) return parts.status();
  return Assemble(*parts, fields);
}

absl::StatusOr<v1::Contact> ContactContext::GetContact(const EntityKey& contact,
                                                       absl::Time deadline) {
  if (hash_ == nullptr) {
    CLM_ASSIGN_OR_RETURN(const auto found, reader_->Get(contact.tenant, {contact.id}, deadline));
    if (!found[0]) return error::NotFound(EntityName(kContacts, contact));
    return ToProto(found[0]->contact, found[0]->aliases);
  }
  const auto parts = Through(contact, {kCorePart}, deadline);
  if (const auto survivor = MovedTo(parts.status())) {
    return GetContact({contact.tenant, *survivor}, deadline);
  }
  if (!parts.ok()) return parts.status();
  CLM_ASSIGN_OR_RETURN(v1::CustomerContext context, Assemble(*parts, {kCorePart}));
  return std::move(*context.mutable_contact());
}

void ContactContext::Peek(const EntityKey& contact, std::vector<std::string> parts,
                          absl::AnyInvocable<void(std::optional<v1::CustomerContext>)> done) {
  if (hash_ == nullptr) return done(std::nullopt);
  hash_->ReadAsync(contact, [parts = std::move(parts),
                             done = std::move(done)](absl::StatusOr<cache::Parts> found) mutable {
    if (!found.ok()) return done(std::nullopt);
    for (const auto& part : parts) {
      // An empty part is there too: a customer of whom a model knows nothing yet.
      if (!found->contains(part)) return done(std::nullopt);
    }
    auto context = Assemble(*found, parts);
    if (!context.ok()) return done(std::nullopt);
    context->set_cached(true);
    done(*std::move(context));
  });
}

absl::Status ContactContext::ContactsCommitted(const std::vector<EntityKey>& keys,
                                               const std::vector<EntityKey>& merged,
                                               const journal::Offsets& heads) {
  if (hash_ == nullptr) return absl::OkStatus();
  std::vector<cache::PartChange> changes;
  changes.reserve(keys.size() + merged.size());
  for (const auto& key : keys) {
    const int shard = ShardOf(key.tenant, key.id);
    for (const auto& [moved, off] : heads) {
      if (moved != shard) continue;
      changes.push_back({key, kCorePart, off, absl::UnixEpoch(), std::nullopt});
    }
  }
  for (const auto& key : merged) {
    changes.push_back({key, kCorePart, cache::kFinalVersion, absl::UnixEpoch(), std::nullopt});
  }
  return hash_->Apply(changes);
}

absl::StatusOr<bool> ContactContext::Holds(const EntityKey& contact, const std::string& field,
                                           const cache::Part& part) {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  const absl::StatusOr<cache::Part> truth =
      field == kCorePart ? LoadCore(contact, deadline) : LoadStages(contact, deadline);
  if (!truth.ok()) {
    // Of an alias, and of whoever is gone, nothing may be cached.
    if (MovedTo(truth.status()) || absl::IsNotFound(truth.status())) return false;
    return truth.status();
  }
  // Not by version: that of the core grows with each change of anybody on the shard.
  v1::CustomerContext cached, owned;
  if (!cached.ParseFromString(part.payload) || !owned.ParseFromString(truth->payload)) return false;
  return google::protobuf::util::MessageDifferencer::Equals(cached, owned);
}

std::vector<cache::PartChange> ContactContext::Outdated(absl::Span<const journal::Placed> events) {
  cache::Tombstones tombstones;
  for (const journal::Placed& placed : events) {
    const auto subject = ParseEntityName("subject", kContacts, placed.event.subject());
    if (!subject.ok()) continue;  // Of a list, a topic, a definition.
    tombstones.Add(*subject, kCorePart, placed.off);
    if (placed.event.type() != v1::ContactsMerged::descriptor()->full_name()) continue;
    v1::ContactsMerged merge;
    if (!merge.ParseFromString(placed.event.payload())) continue;
    const auto merged = ParseEntityName("merged_contact", kContacts, merge.merged_contact());
    if (merged.ok()) tombstones.Add(*merged, kCorePart, cache::kFinalVersion);
  }
  return tombstones.Take();
}

}  // namespace clm::contact
