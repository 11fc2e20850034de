#include "services/contact/contact_context.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/util/message_differencer.h"
#include "google/protobuf/wire_format_lite.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/cache/cache_follower.h"
#include "services/contact/contact_proto.h"
#include "services/contact/upsert.h"

namespace clm::contact {
namespace {

// For how long nobody asks a loyalty service that did not answer.
constexpr absl::Duration kLoyaltyRest = absl::Seconds(1);
// Within which who then asks for all has an answer.
constexpr absl::Duration kLoyaltyTurn = absl::Seconds(5);

// Until when the memberships of a part stay as they are. Nothing that cannot be read stays.
absl::Time HoldUntil(const v1::CustomerContext& context) {
  absl::Time until = absl::InfiniteFuture();
  for (const loyalty::v1::Membership& membership : context.memberships()) {
    if (!membership.has_hold_until_time()) continue;
    until = std::min(until, FromProto(membership.hold_until_time()));
  }
  return until;
}

bool HasAll(const cache::Parts& parts, const std::vector<std::string>& fields) {
  return std::all_of(fields.begin(), fields.end(),
                     [&](const std::string& field) { return parts.contains(field); });
}

// Marks a serialized context as one from the cache.
void MarkCached(std::string* context) {
  v1::CustomerContext mark;
  mark.set_cached(true);
  mark.AppendToString(context);
}

// Parts are CustomerContext messages that hold their own fields only, so that the whole is their
// merge: on the wire, one after the other. The times come from the parts themselves.
std::string ContextOf(const cache::Parts& parts) {
  v1::CustomerContext about;
  std::string context;
  for (const char* field : {kCorePart, kStagesPart, kLoyaltyPart}) {
    const auto it = parts.find(field);
    if (it == parts.end()) continue;
    context += it->second.payload;
    v1::ContextPart* const part = field == kCorePart     ? about.mutable_contact_part()
                                  : field == kStagesPart ? about.mutable_stages_part()
                                                         : about.mutable_loyalty_part();
    part->set_version(it->second.version);
    ToProto(it->second.as_of, part->mutable_as_of_time());
  }
  about.AppendToString(&context);
  return context;
}

// The contact begins the core, having the lowest number of its fields; so nothing need be parsed.
absl::StatusOr<std::string> ContactOf(const cache::Parts& parts) {
  using google::protobuf::internal::WireFormatLite;
  const auto it = parts.find(kCorePart);
  if (it == parts.end()) return error::Internal("the core of the customer context is missing");
  const std::string& core = it->second.payload;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(core.data()),
                                            static_cast<int>(core.size()));
  constexpr uint32_t kTag = WireFormatLite::MakeTag(v1::CustomerContext::kContactFieldNumber,
                                                    WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  uint32_t size = 0;
  if (in.ReadTag() != kTag || !in.ReadVarint32(&size) ||
      size > core.size() - in.CurrentPosition()) {
    return error::Internal("the core of the customer context does not begin with the contact");
  }
  return core.substr(in.CurrentPosition(), size);
}

absl::StatusOr<std::string> AnswerOf(Answer what, const cache::Parts& parts) {
  if (what == Answer::kContact) return ContactOf(parts);
  return ContextOf(parts);
}

}  // namespace

ContactContext::ContactContext(ContactReader* reader, cache::CustomerHash* hash,
                               cache::NearCache* near, StagesSource stages,
                               MembershipsSource memberships, const Clock* clock)
    : reader_(reader),
      hash_(hash),
      near_(near),
      stages_(std::move(stages)),
      memberships_(std::move(memberships)),
      clock_(clock != nullptr ? *clock : machine_) {}

std::vector<std::string> ContactContext::FieldsOf(Answer what) const {
  std::vector<std::string> fields = {kCorePart};
  if (what == Answer::kContact) return fields;
  fields.push_back(kStagesPart);
  if (has_loyalty_) fields.push_back(kLoyaltyPart);
  return fields;
}

std::vector<std::string> ContactContext::RequiredFieldsOf(Answer what) const {
  std::vector<std::string> fields = FieldsOf(what);
  if (fields.back() == kLoyaltyPart && !MayAskLoyalty(clock_.Now())) fields.pop_back();
  return fields;
}

bool ContactContext::MayAskLoyalty(absl::Time now) const {
  return loyalty_rests_until_ <= absl::ToUnixMicros(now);
}

bool ContactContext::TakeTurnAtLoyalty(absl::Time now) {
  int64_t until = loyalty_rests_until_;
  if (until == 0) return true;
  return until <= absl::ToUnixMicros(now) && loyalty_rests_until_.compare_exchange_strong(
                                                 until, absl::ToUnixMicros(now + kLoyaltyTurn));
}

absl::StatusOr<cache::Part> ContactContext::LoadCore(const EntityKey& contact,
                                                     absl::Time deadline) {
  const absl::Time as_of = absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now()));
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
  for (const LastContact& last : whole.around.last_contacts) {
    auto* out = context.add_last_contacts();
    out->set_channel(last.channel);
    out->set_type(last.type);
    ToProto(last.occur_time, out->mutable_occur_time());
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

absl::StatusOr<cache::Part> ContactContext::LoadMemberships(const EntityKey& contact,
                                                            absl::Time deadline) {
  absl::StatusOr<v1::CustomerContext> context = memberships_(contact, deadline);
  loyalty_rests_until_ = context.ok() ? 0 : absl::ToUnixMicros(clock_.Now() + kLoyaltyRest);
  CLM_RETURN_IF_ERROR(context.status());
  cache::Part part;
  part.version = context->loyalty_part().version();
  part.as_of = FromProto(context->loyalty_part().as_of_time());
  part.hold_until = HoldUntil(*context);
  for (const loyalty::v1::Membership& membership : context->memberships()) {
    // Of whom the contact was merged into: what changes that one's is told under its name alone.
    if (membership.member().contact() == EntityName(kContacts, contact)) continue;
    part.hold_until = absl::InfinitePast();
  }
  context->clear_loyalty_part();
  part.payload = context->SerializeAsString();
  return part;
}

absl::StatusOr<cache::Parts> ContactContext::FromOwners(const EntityKey& contact,
                                                        const std::vector<std::string>& fields,
                                                        bool always, absl::Time deadline) {
  cache::Parts parts;
  for (const auto& field : fields) {
    if (field == kCorePart) {
      CLM_ASSIGN_OR_RETURN(parts[field], LoadCore(contact, deadline));
    } else if (field == kStagesPart) {
      CLM_ASSIGN_OR_RETURN(parts[field], LoadStages(contact, deadline));
    } else if (always || TakeTurnAtLoyalty(clock_.Now())) {
      // The rest of the context is worth having without it.
      auto part = LoadMemberships(contact, deadline);
      if (part.ok()) parts[field] = *std::move(part);
    }
  }
  return parts;
}

bool ContactContext::MayRemember(Answer what, const cache::Parts& parts) const {
  if (what == Answer::kContact || !has_loyalty_) return true;
  const auto it = parts.find(kLoyaltyPart);
  if (it == parts.end()) return false;
  v1::CustomerContext context;
  if (!context.ParseFromString(it->second.payload)) return false;
  return std::min(it->second.hold_until, HoldUntil(context)) > clock_.Now() + kMostStaleness;
}

absl::StatusOr<std::string> ContactContext::Load(const EntityKey& contact, absl::Time deadline) {
  const auto parts = FromOwners(contact, FieldsOf(Answer::kContext), /*always=*/true, deadline);
  if (const auto survivor = MovedTo(parts.status())) {
    return Load({contact.tenant, *survivor}, deadline);
  }
  CLM_RETURN_IF_ERROR(parts.status());
  return ContextOf(*parts);
}

absl::StatusOr<std::string> ContactContext::Get(Answer what, const EntityKey& contact,
                                                const Freshness& freshness, absl::Time deadline) {
  // Only under its own name can an answer be dropped when it is old.
  auto ticket = Begin(what, contact, freshness);
  std::string answer;
  if (hash_ == nullptr && what == Answer::kContact) {
    CLM_ASSIGN_OR_RETURN(const auto found, reader_->Get(contact.tenant, {contact.id}, deadline));
    if (!found[0]) return error::NotFound(EntityName(kContacts, contact));
    answer = ToProto(found[0]->contact, found[0]->aliases).SerializeAsString();
    if (found[0]->contact.key != contact) return answer;
  } else {
    const auto load = [&](const std::vector<std::string>& fields) {
      return FromOwners(contact, fields, /*always=*/false, deadline);
    };
    const std::vector<std::string> fields = RequiredFieldsOf(what);
    const auto parts = hash_ == nullptr ? load(fields) : hash_->ReadThrough(contact, fields, load);
    if (const auto survivor = MovedTo(parts.status())) {
      return Get(what, {contact.tenant, *survivor}, freshness, deadline);
    }
    CLM_RETURN_IF_ERROR(parts.status());
    CLM_ASSIGN_OR_RETURN(answer, AnswerOf(what, *parts));
    if (ticket && !MayRemember(what, *parts)) ticket.reset();
  }
  Remember(what, contact, ticket, answer);
  return answer;
}

void ContactContext::Peek(Answer what, const EntityKey& contact, const Freshness& freshness,
                          absl::AnyInvocable<void(std::optional<std::string>)> done) {
  if (hash_ == nullptr) return done(std::nullopt);
  hash_->ReadAsync(contact, FieldsOf(what),
                   [this, what, contact, ticket = Begin(what, contact, freshness),
                    done = std::move(done)](absl::StatusOr<cache::Parts> found) mutable {
                     // An empty part is there too: a customer of whom a model knows nothing yet.
                     if (!found.ok() || !HasAll(*found, RequiredFieldsOf(what)))
                       return done(std::nullopt);
                     absl::StatusOr<std::string> answer = AnswerOf(what, *found);
                     if (!answer.ok()) return done(std::nullopt);
                     if (ticket && MayRemember(what, *found)) {
                       Remember(what, contact, ticket, *answer);
                     }
                     if (what == Answer::kContext) MarkCached(&*answer);
                     done(*std::move(answer));
                   });
}

std::optional<std::string> ContactContext::Recall(Answer what, const EntityKey& contact,
                                                  const Freshness& freshness) {
  if (near_ == nullptr || freshness.max_staleness <= absl::ZeroDuration()) return std::nullopt;
  return near_->Get(contact, static_cast<int>(what), freshness.now, freshness.max_staleness);
}

std::optional<cache::NearCache::Ticket> ContactContext::Begin(Answer what, const EntityKey& contact,
                                                              const Freshness& freshness) const {
  if (near_ == nullptr || freshness.max_staleness <= absl::ZeroDuration()) return std::nullopt;
  return near_->Begin(contact, static_cast<int>(what), freshness.now);
}

void ContactContext::Remember(Answer what, const EntityKey& contact,
                              const std::optional<cache::NearCache::Ticket>& ticket,
                              const std::string& answer) {
  if (!ticket) return;
  std::string kept = answer;
  // Whoever is given it again has it from a cache.
  if (what == Answer::kContext) MarkCached(&kept);
  near_->Put(contact, static_cast<int>(what), *ticket, std::move(kept));
}

absl::Status ContactContext::ContactsCommitted(const std::vector<EntityKey>& keys,
                                               const std::vector<EntityKey>& merged,
                                               const journal::Offsets& heads) {
  absl::Status told = TellHash(keys, merged, heads);
  // Afterwards: whoever reads from then on finds what is new.
  if (near_ != nullptr) {
    for (const auto& key : keys) near_->Drop(key);
    for (const auto& key : merged) near_->Drop(key);
  }
  return told;
}

absl::Status ContactContext::TellHash(const std::vector<EntityKey>& keys,
                                      const std::vector<EntityKey>& merged,
                                      const journal::Offsets& heads) {
  if (hash_ == nullptr) return absl::OkStatus();
  std::vector<cache::PartChange> changes;
  changes.reserve(keys.size() + merged.size());
  for (const auto& key : keys) {
    const int shard = ShardOf(key.tenant, key.id);
    for (const auto& [moved, off] : heads) {
      if (moved != shard) continue;
      changes.push_back({key, kCorePart, off, absl::UnixEpoch(), std::nullopt, true});
    }
  }
  for (const auto& key : merged) {
    changes.push_back(
        {key, kCorePart, cache::kFinalVersion, absl::UnixEpoch(), std::nullopt, false});
  }
  return hash_->Apply(changes);
}

absl::StatusOr<bool> ContactContext::Holds(const EntityKey& contact, const std::string& field,
                                           const cache::Part& part) {
  const absl::Time deadline = clock_.Now() + absl::Seconds(10);
  const absl::StatusOr<cache::Part> truth = field == kCorePart ? LoadCore(contact, deadline)
                                            : field == kLoyaltyPart
                                                ? LoadMemberships(contact, deadline)
                                                : LoadStages(contact, deadline);
  if (!truth.ok()) {
    // Of an alias, and of whoever is gone, nothing may be cached.
    if (MovedTo(truth.status()) || absl::IsNotFound(truth.status())) return false;
    return truth.status();
  }
  // Not by version: that of the core grows with each change of anybody on the shard.
  v1::CustomerContext cached, owned;
  if (!cached.ParseFromString(part.payload) || !owned.ParseFromString(truth->payload)) return false;
  // What time has changed, or another version of the programme, has missed nothing.
  if (HoldUntil(cached) <= clock_.Now()) return error::Internal("its time is over");
  for (const loyalty::v1::Membership& a : cached.memberships()) {
    for (const loyalty::v1::Membership& b : owned.memberships()) {
      if (a.member().name() == b.member().name() && a.program_version() != b.program_version()) {
        return error::Internal("the programme has changed");
      }
    }
  }
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
