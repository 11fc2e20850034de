#include "services/contact/contact_handlers.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/status.h"
#include "services/contact/contact_export.h"
#include "services/contact/contact_mutation.h"
#include "services/contact/contact_proto.h"
#include "services/contact/merge.h"

namespace clm::contact {
namespace {

// Whose a key is after the items of a batch before: an earlier one may have given it to somebody,
// or taken it away so that its person is new. nullopt when that needs a shard that is not locked.
std::optional<EntityKey> WithinBatch(const ContactWork& work, const journal::ShardSet& shards,
                                     const std::string& tenant, const Identifier& key,
                                     absl::Time now) {
  if (const auto owner = work.Owner(tenant, key)) {
    const EntityKey found{tenant, *owner};
    const bool locked = shards.test(ShardOf(tenant, found.id));
    if (!locked || work.FindContact(found) == nullptr) return std::nullopt;
    return found;
  }
  for (;;) {
    const EntityKey fresh{tenant, Uuid::V7(now)};
    if (shards.test(ShardOf(tenant, fresh.id))) return fresh;
  }
}

}  // namespace

void WithPolicy(const ContactParts& parts, const std::string& tenant, absl::Time now,
                absl::Time deadline,
                absl::AnyInvocable<void(absl::StatusOr<IdentityPolicyPtr>)> run) {
  if (IdentityPolicyPtr known = parts.policies->Recall(tenant, now)) return run(std::move(known));
  // Shared, because a refused task must still answer.
  const auto shared =
      std::make_shared<absl::AnyInvocable<void(absl::StatusOr<IdentityPolicyPtr>)>>(std::move(run));
  const bool posted =
      parts.workers->Post([policies = parts.policies, tenant, now, deadline, shared] {
        (*shared)(policies->Refresh(tenant, now, deadline));
      });
  if (!posted) (*shared)(Busy());
}

void ContactHandlers::CreateContact(const rpc::Call& call, const v1::CreateContactRequest& request,
                                    rpc::Reply<v1::Contact> reply) {
  auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  auto patch = PatchFrom("contact", request.contact());
  if (!patch.ok()) return reply(patch.status());
  patch->if_version.reset();
  EntityKey key{*tenant, Uuid::V7(call.now)};
  if (!request.contact_id().empty()) {
    key.id = *Uuid::Parse(request.contact_id());
  } else if (!request.contact().name().empty()) {
    auto named = ParseEntityName("contact.name", kContacts, request.contact().name());
    if (!named.ok()) return reply(named.status());
    if (named->tenant != *tenant) {
      return reply(error::InvalidField("contact.name", "is of another tenant than the parent"));
    }
    key.id = named->id;
  }
  journal::MutationInfo info = journal::InfoFor(call, key.tenant, request);
  info.shards.set(ShardOf(key.tenant, key.id));
  info.aggregate = key.id;
  auto shared = std::make_shared<const ContactPatch>(*std::move(patch));
  auto create = [this, key, shared, info = std::move(info), actor = call.caller.actor,
                 reply = std::move(reply)](absl::StatusOr<IdentityPolicyPtr> policy) mutable {
    if (!policy.ok()) return reply(policy.status());
    journal::Mutate<ContactWork>(
        *parts_.lanes, std::move(info),
        [key, shared, policy = *policy](ContactWork& work) {
          DeclareWrite(work, key, *shared, *policy);
        },
        [key, shared, policy = *policy, actor](
            ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          if (work.FindContact(key) != nullptr) return AlreadyExists(key, "name");
          CLM_ASSIGN_OR_RETURN(
              const Change change,
              Create(key, *shared, RulesOf(work, key.tenant, *policy), recorder.now()));
          CLM_RETURN_IF_ERROR(Commit(work, recorder, change, actor, "api"));
          return ToProto(change.after).SerializeAsString();
        },
        std::move(reply));
  };
  WithPolicy(parts_, key.tenant, call.now, call.deadline, std::move(create));
}

void ContactHandlers::GetContact(const rpc::Call& call, const v1::GetContactRequest& request,
                                 rpc::Reply<v1::Contact> reply) {
  const auto parsed = ParseEntityName("name", kContacts, request.name());
  if (!parsed.ok()) return reply(parsed.status());
  const EntityKey& key = *parsed;
  const auto freshness =
      cache::FreshnessOf(call.now, request.consistency() == v1::CONSISTENCY_STRONG, request);
  if (!freshness.ok()) return reply(freshness.status());
  if (request.consistency() == v1::CONSISTENCY_STRONG) {
    return parts_.reader->GetAsync(
        key, call.deadline,
        [key, reply = std::move(reply)](
            absl::StatusOr<std::shared_ptr<const StoredContact>> found) mutable {
          if (!found.ok()) return reply(found.status());
          if (*found == nullptr) return reply(error::NotFound(EntityName(kContacts, key)));
          ToProto((*found)->contact, (*found)->aliases, &reply.response());
          reply.Done();
        });
  }
  Answered(call, Answer::kContact, key, *freshness, parts_.workers, std::move(reply));
}

absl::StatusOr<v1::BatchGetContactsResponse> ContactHandlers::BatchGetContacts(
    const rpc::Call& call, const v1::BatchGetContactsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  std::vector<Uuid> ids;
  error::FieldErrors errors;
  for (int i = 0; i < request.names_size(); ++i) {
    const std::string field = absl::StrCat("names[", i, "]");
    const auto key = ParseEntityName(field, kContacts, request.names(i));
    if (!key.ok()) {
      errors.AddStatus("", key.status());
    } else if (key->tenant != tenant) {
      errors.Add(field, "is of another tenant than the parent");
    } else {
      ids.push_back(key->id);
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  CLM_ASSIGN_OR_RETURN(const auto found, parts_.reader->Get(tenant, ids, call.deadline));
  v1::BatchGetContactsResponse response;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) return error::NotFound(request.names(static_cast<int>(i)));
    *response.add_contacts() = ToProto(found[i]->contact, found[i]->aliases);
  }
  return response;
}

absl::StatusOr<v1::Contact> ContactHandlers::LookupContact(
    const rpc::Call& call, const v1::LookupContactRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const IdentityPolicyPtr policy,
                       parts_.policies->Get(tenant, call.now, call.deadline));
  const auto identifier =
      NormalizeIdentifier(request.type(), request.value(), {.policy = policy.get()});
  if (!identifier.ok()) return error::InvalidField("value", identifier.status().message());
  CLM_ASSIGN_OR_RETURN(const auto owners,
                       parts_.reader->Owners(tenant, {*identifier}, call.deadline));
  const std::string what = absl::StrCat("tenants/", tenant, "/contacts with this ", request.type());
  if (!owners[0]) return error::NotFound(what);
  CLM_ASSIGN_OR_RETURN(const auto found, parts_.reader->Get(tenant, {*owners[0]}, call.deadline));
  if (!found[0]) return error::NotFound(what);
  return ToProto(found[0]->contact, found[0]->aliases);
}

absl::StatusOr<v1::ListContactsResponse> ContactHandlers::ListContacts(
    const rpc::Call& call, const v1::ListContactsRequest& request) {
  ContactReader::ListQuery query;
  query.now = call.now;
  CLM_ASSIGN_OR_RETURN(query.tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  if (request.order_by() == "name desc") {
    query.descending = true;
  } else if (!request.order_by().empty() && request.order_by() != "name") {
    return error::InvalidField("order_by", "is none of: name, name desc");
  }
  query.filter = request.filter();
  CLM_ASSIGN_OR_RETURN(const IdentityPolicyPtr policy,
                       parts_.policies->Get(query.tenant, call.now, call.deadline));
  query.policy = policy.get();
  query.show_erased = request.show_erased();
  const std::vector<std::string> list = {"ListContacts", query.tenant, query.filter,
                                         request.order_by(), query.show_erased ? "1" : "0"};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  if (!last.empty()) query.after = Uuid::FromBytes(last[0]);
  query.limit = size + 1;
  CLM_ASSIGN_OR_RETURN(auto found, parts_.reader->List(query, call.deadline));
  v1::ListContactsResponse response;
  const bool more = static_cast<int>(found.size()) > size;
  if (more) found.resize(size);
  for (const auto& stored : found) {
    *response.add_contacts() = ToProto(stored.contact, stored.aliases);
  }
  if (more) {
    response.set_next_page_token(
        parts_.tokens->Encode(list, {found.back().contact.key.id.ToBytes()}));
  }
  if (request.include_total_size()) {
    CLM_ASSIGN_OR_RETURN(const int64_t total, parts_.reader->Count(query, call.deadline));
    response.set_total_size(total);
  }
  return response;
}

void ContactHandlers::UpdateContact(const rpc::Call& call, const v1::UpdateContactRequest& request,
                                    rpc::Reply<v1::Contact> reply) {
  const auto key = ParseEntityName("contact.name", kContacts, request.contact().name());
  if (!key.ok()) return reply(key.status());
  auto patch = PatchFrom("contact", request.contact(), request.update_mask());
  if (!patch.ok()) return reply(patch.status());
  auto shared = std::make_shared<const ContactPatch>(*std::move(patch));
  ContactMutation<v1::Contact> mutation;
  mutation.info = journal::InfoFor(call, key->tenant, request);
  mutation.key = *key;
  auto update = [this, shared, mutation = std::move(mutation), actor = call.caller.actor,
                 reply = std::move(reply)](absl::StatusOr<IdentityPolicyPtr> policy) mutable {
    if (!policy.ok()) return reply(policy.status());
    mutation.declare = [shared, policy = *policy](ContactWork& work, const EntityKey& k) {
      DeclareWrite(work, k, *shared, *policy);
      work.NeedSurroundings(k);
    };
    mutation.apply = [shared, policy = *policy, actor](
                         ContactWork& work, journal::Recorder& recorder,
                         const EntityKey& k) -> absl::StatusOr<v1::Contact> {
      CLM_ASSIGN_OR_RETURN(const Contact* before, Require(work, k));
      CLM_ASSIGN_OR_RETURN(
          const Change change,
          Update(*before, *shared, RulesOf(work, k.tenant, *policy), recorder.now()));
      CLM_RETURN_IF_ERROR(Commit(work, recorder, change, actor, "api"));
      return ToProto(change.after, work.Aliases(k));
    };
    RunOnContact(*parts_.lanes, std::move(mutation), std::move(reply));
  };
  WithPolicy(parts_, key->tenant, call.now, call.deadline, std::move(update));
}

void ContactHandlers::UpsertContact(const rpc::Call& call, const v1::UpsertContactRequest& request,
                                    rpc::Reply<v1::UpsertContactResponse> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  auto patch = PatchFrom("contact", request.contact(), request.update_mask());
  if (!patch.ok()) return reply(patch.status());
  auto shared = std::make_shared<const ContactPatch>(*std::move(patch));
  ContactMutation<v1::UpsertContactResponse> mutation;
  mutation.info = journal::InfoFor(call, *tenant, request);
  mutation.key = {*tenant, Uuid::V7(call.now)};
  auto upsert = [this, shared, mutation = std::move(mutation), key = request.key(),
                 actor = call.caller.actor,
                 reply = std::move(reply)](absl::StatusOr<IdentityPolicyPtr> policy) mutable {
    if (!policy.ok()) return reply(policy.status());
    const auto identifier = KeyIdentifier("key", key, *shared, **policy);
    if (!identifier.ok()) return reply(identifier.status());
    mutation.declare = [shared, policy = *policy, id = *identifier](ContactWork& work,
                                                                    const EntityKey& k) {
      DeclareWrite(work, k, *shared, *policy);
      work.NeedIdentifier(k.tenant, id);
    };
    mutation.apply = [shared, policy = *policy, id = *identifier, actor](
                         ContactWork& work, journal::Recorder& recorder,
                         const EntityKey& k) -> absl::StatusOr<v1::UpsertContactResponse> {
      CLM_ASSIGN_OR_RETURN(const UpsertOutcome outcome,
                           Upsert(work, recorder, k, id, *shared, *policy, actor, "api"));
      v1::UpsertContactResponse response;
      *response.mutable_contact() = ToProto(outcome.contact);
      response.set_created(outcome.created);
      response.set_unchanged(outcome.unchanged);
      return response;
    };
    // The first guess is that the person is new: then one transaction is all it takes. Somebody
    // known answers CONTACT_MOVED with their id, and the mutation runs under their shard.
    RunOnContact(*parts_.lanes, std::move(mutation), std::move(reply));
  };
  WithPolicy(parts_, *tenant, call.now, call.deadline, std::move(upsert));
}

void ContactHandlers::BatchUpsertContacts(const rpc::Call& call,
                                          const v1::BatchUpsertContactsRequest& request,
                                          rpc::Reply<v1::BatchUpsertContactsResponse> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  struct Item {
    absl::Status status;
    ContactPatch patch;
    std::string key_field;
    Identifier key;
    EntityKey target;
  };
  struct Batch {
    std::vector<Item> items;
    journal::MutationInfo info;
    bool atomic;
    std::string actor;
    absl::Time now;
    IdentityPolicyPtr policy;
  };
  auto batch = std::make_shared<Batch>();
  batch->info = journal::InfoFor(call, *tenant, request);
  batch->info.weight = std::max(1, request.requests_size());
  batch->atomic = request.atomic();
  batch->actor = call.caller.actor;
  batch->now = call.now;
  for (int i = 0; i < request.requests_size(); ++i) {
    const auto& one = request.requests(i);
    Item item;
    if (!one.parent().empty() && one.parent() != request.parent()) {
      item.status = error::InvalidField(absl::StrCat("requests[", i, "].parent"),
                                        "differs from the parent of the batch");
    } else {
      auto patch = PatchFrom("contact", one.contact(), one.update_mask());
      item.status = patch.status();
      if (patch.ok()) item.patch = *std::move(patch);
      item.key_field = one.key();
    }
    batch->items.push_back(std::move(item));
  }

  auto shared = std::make_shared<rpc::Reply<v1::BatchUpsertContactsResponse>>(std::move(reply));
  auto run = std::make_shared<std::function<void(int)>>();
  // Looks up who has the keys, then locks all their shards in one transaction.
  *run = [this, batch, shared, tenant = *tenant, weak = std::weak_ptr(run)](int tries) {
    if (batch->policy == nullptr) {
      auto policy = parts_.policies->Get(tenant, batch->now, batch->info.deadline);
      if (!policy.ok()) return (*shared)(policy.status());
      batch->policy = *std::move(policy);
      for (Item& item : batch->items) {
        if (!item.status.ok()) continue;
        auto key = KeyIdentifier("key", item.key_field, item.patch, *batch->policy);
        item.status = key.status();
        if (key.ok()) item.key = *std::move(key);
      }
    }
    std::vector<Identifier> keys;
    for (const auto& item : batch->items) keys.push_back(item.key);
    const auto owners = parts_.reader->Owners(tenant, keys, batch->info.deadline);
    if (!owners.ok()) return (*shared)(owners.status());
    journal::MutationInfo info = batch->info;
    info.shards.reset();
    absl::flat_hash_map<Identifier, Uuid> fresh;
    for (size_t i = 0; i < batch->items.size(); ++i) {
      Item& item = batch->items[i];
      if (!item.status.ok()) continue;
      // Two items of one new person meet in one contact.
      const Uuid id = (*owners)[i]
                          ? *(*owners)[i]
                          : fresh.try_emplace(item.key, Uuid::V7(batch->now)).first->second;
      item.target = {tenant, id};
      info.shards.set(ShardOf(tenant, id));
    }
    if (info.shards.none()) info.shards.set(0);
    const journal::ShardSet shards = info.shards;
    parts_.lanes->Submit(std::make_unique<journal::MutationOf<ContactWork>>(
        std::move(info),
        [batch](ContactWork& work) {
          for (const auto& item : batch->items) {
            if (!item.status.ok()) continue;
            DeclareWrite(work, item.target, item.patch, *batch->policy);
            work.NeedIdentifier(item.target.tenant, item.key);
          }
        },
        [batch, shards](ContactWork& work,
                        journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          v1::BatchUpsertContactsResponse response;
          for (size_t i = 0; i < batch->items.size(); ++i) {
            const Item& item = batch->items[i];
            auto* result = response.add_results();
            absl::StatusOr<UpsertOutcome> outcome =
                item.status.ok() ? Upsert(work, recorder, item.target, item.key, item.patch,
                                          *batch->policy, batch->actor, "api")
                                 : absl::StatusOr<UpsertOutcome>(item.status);
            if (MovedTo(outcome.status())) {
              const auto target =
                  WithinBatch(work, shards, item.target.tenant, item.key, recorder.now());
              if (target) {
                outcome = Upsert(work, recorder, *target, item.key, item.patch, *batch->policy,
                                 batch->actor, "api");
              }
            }
            if (outcome.ok()) {
              result->set_contact(EntityName(kContacts, outcome->contact.key));
              result->set_created(outcome->created);
              result->set_unchanged(outcome->unchanged);
              continue;
            }
            if (MovedTo(outcome.status())) return outcome.status();
            if (batch->atomic) {
              error::FieldErrors errors;
              errors.AddStatus(absl::StrCat("requests[", i, "]"), outcome.status());
              return outcome.status().code() == absl::StatusCode::kInvalidArgument
                         ? errors.ToStatus()
                         : outcome.status();
            }
            *result->mutable_status() = rpc::ToRpcStatus(outcome.status());
          }
          return response.SerializeAsString();
        },
        [this, shared, batch, again = weak.lock(), tries](absl::StatusOr<journal::Answer> answer) {
          if (MovedTo(answer.status()) && tries > 1 &&
              parts_.workers->Post([again, tries] { (*again)(tries - 1); })) {
            return;
          }
          if (!answer.ok()) return (*shared)(answer.status());
          if (answer->replayed) shared->MarkReplay();
          shared->Bytes(std::move(answer->response));
        }));
  };
  if (!parts_.workers->Post([run] { (*run)(kMovedTries); })) (*shared)(Busy());
}

void ContactHandlers::Verb(const rpc::Call& call, const v1::ContactVerbRequest& request,
                           absl::StatusOr<Change> (*move)(const Contact&, absl::Time),
                           rpc::Reply<v1::Contact> reply) {
  const auto key = ParseEntityName("name", kContacts, request.name());
  if (!key.ok()) return reply(key.status());
  ContactMutation<v1::Contact> mutation;
  mutation.info = journal::InfoFor(call, key->tenant, request);
  mutation.key = *key;
  mutation.declare = [](ContactWork& work, const EntityKey& k) { work.NeedSurroundings(k); };
  mutation.apply = [move, etag = request.etag(), reason = request.reason(),
                    actor = call.caller.actor](ContactWork& work, journal::Recorder& recorder,
                                               const EntityKey& k) -> absl::StatusOr<v1::Contact> {
    CLM_ASSIGN_OR_RETURN(const Contact* before, Require(work, k));
    CLM_RETURN_IF_ERROR(CheckEtag("etag", etag, before->version));
    CLM_ASSIGN_OR_RETURN(const Change change, move(*before, recorder.now()));
    CLM_RETURN_IF_ERROR(Commit(work, recorder, change, actor, "api", reason));
    return ToProto(change.after, work.Aliases(k));
  };
  RunOnContact(*parts_.lanes, std::move(mutation), std::move(reply));
}

void ContactHandlers::BlockContact(const rpc::Call& call, const v1::ContactVerbRequest& request,
                                   rpc::Reply<v1::Contact> reply) {
  Verb(call, request, &Block, std::move(reply));
}

void ContactHandlers::UnblockContact(const rpc::Call& call, const v1::ContactVerbRequest& request,
                                     rpc::Reply<v1::Contact> reply) {
  Verb(call, request, &Unblock, std::move(reply));
}

void ContactHandlers::DeactivateContact(const rpc::Call& call,
                                        const v1::ContactVerbRequest& request,
                                        rpc::Reply<v1::Contact> reply) {
  Verb(call, request, &Deactivate, std::move(reply));
}

void ContactHandlers::ReactivateContact(const rpc::Call& call,
                                        const v1::ContactVerbRequest& request,
                                        rpc::Reply<v1::Contact> reply) {
  Verb(call, request, &Reactivate, std::move(reply));
}

void ContactHandlers::EraseContact(const rpc::Call& call, const v1::EraseContactRequest& request,
                                   rpc::Reply<v1::Contact> reply) {
  const auto key = ParseEntityName("name", kContacts, request.name());
  if (!key.ok()) return reply(key.status());
  ContactMutation<v1::Contact> mutation;
  mutation.info = journal::InfoFor(call, key->tenant, request);
  mutation.key = *key;
  mutation.declare = [](ContactWork& work, const EntityKey& k) { work.NeedSurroundings(k); };
  mutation.apply = [anonymize = request.anonymize_events(), actor = call.caller.actor,
                    request_id = mutation.info.request_id](
                       ContactWork& work, journal::Recorder& recorder,
                       const EntityKey& k) -> absl::StatusOr<v1::Contact> {
    CLM_ASSIGN_OR_RETURN(const Contact* before, Require(work, k));
    CLM_ASSIGN_OR_RETURN(
        Change change,
        Erase(*before, RulesOf(work, k.tenant, DefaultIdentityPolicy()), recorder.now()));
    std::set<Identifier> held(change.identifiers_removed.begin(), change.identifiers_removed.end());
    for (const auto& h : work.Identifiers(k)) held.insert(h.identifier);
    change.identifiers_removed.assign(held.begin(), held.end());
    CLM_RETURN_IF_ERROR(Commit(work, recorder, change, actor, "api"));
    for (const Identifier& identifier : held) {
      std::vector<std::string> channels;
      if (identifier.type == kEmailType) channels = {"email"};
      if (identifier.type == kPhoneType) channels = {"sms", "phone"};
      for (const auto& channel : channels) {
        work.SaveSuppression(k.tenant, {channel, identifier.value, SuppressionReason::kErased,
                                        recorder.now(), actor});
      }
    }
    work.Purge(k, change.identifiers_removed, anonymize, request_id);
    return ToProto(change.after, work.Aliases(k));
  };
  RunOnContact(*parts_.lanes, std::move(mutation), std::move(reply));
}

absl::StatusOr<v1::ExportContactResponse> ContactHandlers::ExportContact(
    const rpc::Call& call, const v1::ExportContactRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey asked, ParseEntityName("name", kContacts, request.name()));
  v1::ExportContactResponse response;
  size_t bytes = 0;
  const auto take = [&](const v1::ExportContactResponse& part) -> absl::Status {
    bytes += part.ByteSizeLong();
    if (bytes > kMaxExportMessage) {
      return error::Precondition("EXPORT_TOO_LARGE",
                                 "name: more is held about the contact than one message may have; "
                                 "StreamContactExport sends it in parts");
    }
    response.MergeFrom(part);
    return absl::OkStatus();
  };
  CLM_RETURN_IF_ERROR(ExportInParts(*parts_.reader, asked, call.now, call.deadline, take));
  return response;
}

absl::Status ContactHandlers::StreamContactExport(const rpc::Call& call,
                                                  const v1::ExportContactRequest& request,
                                                  rpc::Writer<v1::ExportContactResponse>& writer) {
  CLM_ASSIGN_OR_RETURN(const EntityKey asked, ParseEntityName("name", kContacts, request.name()));
  const auto take = [&](v1::ExportContactResponse part) -> absl::Status {
    if (writer.Write(std::move(part))) return absl::OkStatus();
    // Whoever still waits must not take what came for the whole.
    return error::Unavailable("INTERRUPTED", "the export was broken off; repeat the call",
                              absl::Milliseconds(100));
  };
  return ExportInParts(*parts_.reader, asked, call.now, call.deadline, take);
}

void ContactHandlers::MergeContacts(const rpc::Call& call, const v1::MergeContactsRequest& request,
                                    rpc::Reply<v1::MergeContactsResponse> reply) {
  const auto primary = ParseEntityName("primary", kContacts, request.primary());
  const auto duplicate = ParseEntityName("duplicate", kContacts, request.duplicate());
  error::FieldErrors errors;
  if (!primary.ok()) errors.AddStatus("", primary.status());
  if (!duplicate.ok()) errors.AddStatus("", duplicate.status());
  if (errors.empty() && primary->tenant != duplicate->tenant) {
    errors.Add("duplicate", "is of another tenant than the primary");
  }
  if (errors.empty() && primary->id == duplicate->id)
    errors.Add("duplicate", "is the primary itself");
  if (!errors.empty()) return reply(errors.ToStatus());
  journal::MutationInfo info = journal::InfoFor(call, primary->tenant, request);
  info.shards.set(ShardOf(primary->tenant, primary->id));
  info.shards.set(ShardOf(duplicate->tenant, duplicate->id));
  info.aggregate = primary->id;
  journal::Mutate<ContactWork>(
      *parts_.lanes, std::move(info),
      [a = *primary, b = *duplicate](ContactWork& work) {
        work.NeedSurroundings(a);
        work.NeedSurroundings(b);
      },
      [a = *primary, b = *duplicate, choose = request.choose_primary(), actor = call.caller.actor](
          ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const MergeOutcome outcome,
                             MergeInto(work, recorder, a, b, choose, actor));
        v1::MergeContactsResponse response;
        *response.mutable_contact() = ToProto(outcome.survivor, outcome.aliases);
        response.set_merge_id(outcome.merge_id.ToString());
        for (const auto& field : outcome.filled_fields) response.add_filled_fields(field);
        return response.SerializeAsString();
      },
      std::move(reply));
}

void ContactHandlers::GetCustomerContext(const rpc::Call& call,
                                         const v1::GetCustomerContextRequest& request,
                                         rpc::Reply<v1::CustomerContext> reply) {
  const auto parsed = ParseEntityName("name", kContacts, request.name());
  if (!parsed.ok()) return reply(parsed.status());
  const auto freshness =
      cache::FreshnessOf(call.now, request.consistency() == v1::CONSISTENCY_STRONG, request);
  if (!freshness.ok()) return reply(freshness.status());
  if (request.consistency() == v1::CONSISTENCY_STRONG) {
    // Shared, because a refused task must still answer.
    auto shared = std::make_shared<rpc::Reply<v1::CustomerContext>>(std::move(reply));
    const bool posted =
        parts_.callers->Post([this, key = *parsed, deadline = call.deadline, shared] {
          shared->Bytes(parts_.context->Load(key, deadline));
        });
    if (!posted) (*shared)(Busy());
    return;
  }
  Answered(call, Answer::kContext, *parsed, *freshness, parts_.callers, std::move(reply));
}

// From the nearest cache that has it: the process's own, Redis, and from the owners on `workers`
// otherwise.
template <class Resp>
void ContactHandlers::Answered(const rpc::Call& call, Answer what, const EntityKey& key,
                               const Freshness& freshness, rpc::Workers* workers,
                               rpc::Reply<Resp> reply) {
  if (auto remembered = parts_.context->Recall(what, key, freshness)) {
    return reply.Bytes(*std::move(remembered));
  }
  auto shared = std::make_shared<rpc::Reply<Resp>>(std::move(reply));
  parts_.context->Peek(what, key, freshness,
                       [this, what, key, freshness, workers, deadline = call.deadline,
                        shared](std::optional<std::string> cached) {
                         if (cached) return shared->Bytes(*std::move(cached));
                         const bool posted =
                             workers->Post([this, what, key, freshness, deadline, shared] {
                               shared->Bytes(parts_.context->Get(what, key, freshness, deadline));
                             });
                         if (!posted) (*shared)(Busy());
                       });
}

absl::StatusOr<v1::ListAttributeHistoryResponse> ContactHandlers::ListAttributeHistory(
    const rpc::Call& call, const v1::ListAttributeHistoryRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("parent", kContacts, request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListAttributeHistory", request.parent(),
                                         request.attribute()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  int64_t before = INT64_MAX;
  if (!last.empty() && !absl::SimpleAtoi(last[0], &before)) before = INT64_MAX;
  CLM_ASSIGN_OR_RETURN(const auto page, parts_.reader->History(key, request.attribute(), before,
                                                               size, call.deadline));
  v1::ListAttributeHistoryResponse response;
  for (const auto& entry : page.entries) *response.add_entries() = ToProto(entry);
  if (page.next_version > 0) {
    response.set_next_page_token(parts_.tokens->Encode(list, {absl::StrCat(page.next_version)}));
  }
  return response;
}

void ContactHandlers::CreateAttributeDefinition(const rpc::Call& call,
                                                const v1::CreateAttributeDefinitionRequest& request,
                                                rpc::Reply<v1::AttributeDefinition> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  AttributeDefinition wanted = FromProto(request.attribute_id(), request.attribute_definition());
  if (const absl::Status valid = ValidateDefinition(wanted); !valid.ok()) return reply(valid);
  journal::MutationInfo info = journal::InfoFor(call, *tenant, request);
  info.shards.set(ShardOf(*tenant, "attributes"));
  journal::Mutate<ContactWork>(
      *parts_.lanes, std::move(info),
      [tenant = *tenant](ContactWork& work) { work.NeedRegistry(tenant); },
      [tenant = *tenant, wanted](ContactWork& work,
                                 journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        AttributeDefinition definition = wanted;
        if (work.DefinitionVersion(tenant, definition.id) > 0) {
          return error::Make(
              absl::StatusCode::kAlreadyExists, "ATTRIBUTE_EXISTS",
              absl::StrCat("attribute_id: '", definition.id, "' is defined already"));
        }
        definition.create_time = recorder.now();
        definition.version = 1;
        work.SaveDefinition(tenant, definition, definition.version);
        const v1::AttributeDefinition out = ToProto(tenant, definition);
        recorder.Record({ShardOf(tenant, "attributes"), tenant, out.name(),
                         v1::AttributeDefinition::descriptor()->full_name(), 1, std::nullopt, "",
                         out.SerializeAsString()});
        return out.SerializeAsString();
      },
      std::move(reply));
}

void ContactHandlers::UpdateAttributeDefinition(const rpc::Call& call,
                                                const v1::UpdateAttributeDefinitionRequest& request,
                                                rpc::Reply<v1::AttributeDefinition> reply) {
  const auto ids = ParseResourceName("attribute_definition.name", "tenants/*/attributes/*",
                                     request.attribute_definition().name());
  if (!ids.ok()) return reply(ids.status());
  const auto& mask = request.update_mask().paths();
  const bool all = mask.empty() || (mask.size() == 1 && mask[0] == "*");
  for (const auto& path : mask) {
    if (path != "*" && path != "display_name" && path != "enum_values") {
      return reply(error::InvalidField(
          "update_mask",
          absl::StrCat("'", path, "' cannot be changed; only display_name and enum_values can")));
    }
  }
  const bool names = all || std::find(mask.begin(), mask.end(), "display_name") != mask.end();
  const bool values = all || std::find(mask.begin(), mask.end(), "enum_values") != mask.end();
  const std::string tenant = (*ids)[0];
  const auto etag = ParseEtag("attribute_definition.etag", request.attribute_definition().etag());
  if (!etag.ok()) return reply(etag.status());
  AttributeDefinition wanted = FromProto((*ids)[1], request.attribute_definition());
  wanted.version = *etag;
  journal::MutationInfo info = journal::InfoFor(call, tenant, request);
  info.shards.set(ShardOf(tenant, "attributes"));
  journal::Mutate<ContactWork>(
      *parts_.lanes, std::move(info), [tenant](ContactWork& work) { work.NeedRegistry(tenant); },
      [tenant, wanted, names, values](ContactWork& work,
                                      journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const auto it = work.Registry(tenant).find(wanted.id);
        if (it == work.Registry(tenant).end()) {
          return error::NotFound(absl::StrCat("tenants/", tenant, "/attributes/", wanted.id));
        }
        AttributeDefinition next = it->second;
        next.version = wanted.version;
        if (names) next.display_name = wanted.display_name;
        if (values && !wanted.enum_values.empty()) next.enum_values = wanted.enum_values;
        CLM_ASSIGN_OR_RETURN(next, UpdateDefinition(it->second, next));
        if (next == it->second) return ToProto(tenant, next).SerializeAsString();
        ++next.version;
        work.SaveDefinition(tenant, next, next.version);
        const v1::AttributeDefinition out = ToProto(tenant, next);
        recorder.Record({ShardOf(tenant, "attributes"), tenant, out.name(),
                         v1::AttributeDefinition::descriptor()->full_name(), next.version,
                         std::nullopt, "", out.SerializeAsString()});
        return out.SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::ListAttributeDefinitionsResponse> ContactHandlers::ListAttributeDefinitions(
    const rpc::Call& call, const v1::ListAttributeDefinitionsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const auto registry, parts_.reader->Registry(tenant, call.deadline));
  v1::ListAttributeDefinitionsResponse response;
  CLM_ASSIGN_OR_RETURN(*response.mutable_next_page_token(),
                       AddPage(
                           PageOf{*parts_.tokens,
                                  {"ListAttributeDefinitions", tenant},
                                  request.page_size(),
                                  request.page_token()},
                           *registry, [](const auto& entry) { return std::vector{entry.first}; },
                           [&](const auto& entry) {
                             *response.add_attribute_definitions() = ToProto(tenant, entry.second);
                           }));
  return response;
}

}  // namespace clm::contact
