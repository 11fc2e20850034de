#include "services/contact/merge.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::contact {
namespace {

struct TextField {
  const char* name;
  std::string Contact::*value;
};
constexpr TextField kTextFields[] = {
    {"email", &Contact::email},           {"phone", &Contact::phone},
    {"given_name", &Contact::given_name}, {"family_name", &Contact::family_name},
    {"locale", &Contact::locale},         {"timezone", &Contact::timezone},
    {"source", &Contact::source},
};

// Higher is more restrictive.
int Severity(ContactStatus status) {
  switch (status) {
    case ContactStatus::kActive:
      return 0;
    case ContactStatus::kDeactivated:
      return 1;
    case ContactStatus::kBlocked:
      return 2;
    case ContactStatus::kErased:
      return 3;
  }
  return 3;
}

absl::Status CheckMergeable(const MergeSide& side) {
  const Contact& contact = side.contact;
  if (contact.status == ContactStatus::kErased) {
    return error::Precondition("CONTACT_ERASED", "contact: is erased and cannot be merged",
                               {{"contact", EntityName("contacts", contact.key)}});
  }
  if (contact.merged_into) {
    return error::Precondition(
        "CONTACT_MERGED", "contact: was merged into another contact; merge that one",
        {{"contact", EntityName("contacts", contact.key)},
         {"merged_into", EntityName("contacts", {contact.key.tenant, *contact.merged_into})}});
  }
  return absl::OkStatus();
}

// Fills what the primary lacks and notes what both have differently.
void FillFields(const Contact& from, Contact& to, MergePlan& plan) {
  for (const TextField& field : kTextFields) {
    const std::string& theirs = from.*field.value;
    std::string& ours = to.*field.value;
    if (theirs.empty() || theirs == ours) continue;
    if (ours.empty()) {
      ours = theirs;
      plan.primary.changed_fields.push_back(field.name);
    } else {
      plan.conflicts.push_back({field.name});
    }
  }
  for (const auto& [type, id] : from.external_ids) {
    const std::string name = absl::StrCat("external_ids.", type);
    const auto [it, added] = to.external_ids.emplace(type, id);
    if (added) {
      plan.primary.changed_fields.push_back(name);
    } else if (it->second != id) {
      plan.conflicts.push_back({name});
    }
  }
}

void FillAttributes(const Contact& from, Contact& to, absl::string_view actor, absl::Time now,
                    MergePlan& plan) {
  for (const auto& [id, value] : to.attributes) plan.attribute_origin[id] = to.key.id;
  const AttributeMap before = to.attributes;
  for (const auto& [id, value] : from.attributes) {
    const std::string name = absl::StrCat("attributes.", id);
    const auto [it, added] = to.attributes.emplace(id, value);
    if (added) {
      plan.primary.changed_fields.push_back(name);
      plan.attribute_origin[id] = from.key.id;
    } else if (it->second != value) {
      plan.conflicts.push_back({name});
    }
  }
  plan.attribute_history = HistoryOf(before, to.attributes, now, actor, "merge");
}

void ResolveSubscriptions(const MergeSide& from, const MergeSide& to, MergePlan& plan) {
  for (const Subscription& theirs : from.subscriptions) {
    const auto ours = std::find_if(to.subscriptions.begin(), to.subscriptions.end(),
                                   [&](const Subscription& s) { return s.topic == theirs.topic; });
    if (ours == to.subscriptions.end()) {
      plan.changed_subscriptions.push_back(theirs);
    } else if (const Subscription& winner = StrongerSubscription(*ours, theirs); winner != *ours) {
      plan.changed_subscriptions.push_back(winner);
    }
  }
  std::sort(plan.changed_subscriptions.begin(), plan.changed_subscriptions.end(),
            [](const auto& x, const auto& y) { return x.topic < y.topic; });
}

void MoveHistories(const MergeSide& from, const MergeSide& to, MergePlan& plan) {
  for (const ConsentAct& act : from.consents) {
    if (std::find(to.consents.begin(), to.consents.end(), act) == to.consents.end()) {
      plan.moved_consents.push_back(act);
    }
  }
  std::stable_sort(plan.moved_consents.begin(), plan.moved_consents.end(),
                   [](const auto& x, const auto& y) { return x.act_time < y.act_time; });
  for (const Suppression& theirs : from.suppressions) {
    const bool known =
        std::any_of(to.suppressions.begin(), to.suppressions.end(), [&](const Suppression& ours) {
          return std::tie(ours.channel, ours.address, ours.reason) ==
                 std::tie(theirs.channel, theirs.address, theirs.reason);
        });
    if (!known) plan.moved_suppressions.push_back(theirs);
  }
  plan.moved_identifiers = from.identifiers;
  plan.moved_aliases = from.aliases;
  plan.moved_aliases.push_back(from.contact.key.id);
  std::sort(plan.moved_aliases.begin(), plan.moved_aliases.end());
}

}  // namespace

absl::StatusOr<MergePlan> Merge(const MergeSide& a, const MergeSide& b, const MergeOptions& options,
                                absl::string_view actor, absl::Time now) {
  if (a.contact.key.tenant != b.contact.key.tenant) {
    return error::InvalidField("duplicate", "belongs to another tenant");
  }
  if (a.contact.key == b.contact.key) {
    return error::InvalidField("duplicate", "is the same contact");
  }
  CLM_RETURN_IF_ERROR(CheckMergeable(a));
  CLM_RETURN_IF_ERROR(CheckMergeable(b));

  bool a_survives = std::tie(a.contact.create_time, a.contact.key.id) <
                    std::tie(b.contact.create_time, b.contact.key.id);
  if (options.primary) {
    a_survives = *options.primary == a.contact.key.id;
    if (!a_survives && *options.primary != b.contact.key.id) {
      return error::InvalidField("primary", "is neither of the two contacts");
    }
  }
  const MergeSide& to = a_survives ? a : b;
  const MergeSide& from = a_survives ? b : a;

  MergePlan plan;
  Contact survivor = to.contact;
  FillFields(from.contact, survivor, plan);
  FillAttributes(from.contact, survivor, actor, now, plan);
  std::sort(plan.conflicts.begin(), plan.conflicts.end(),
            [](const auto& x, const auto& y) { return x.field < y.field; });
  const MergeConflict user_id{absl::StrCat("external_ids.", kUserIdType)};
  if (!options.allow_user_id_conflict &&
      std::find(plan.conflicts.begin(), plan.conflicts.end(), user_id) != plan.conflicts.end()) {
    return error::Precondition("UNIQUE_IDENTIFIER_CONFLICT",
                               "contact.external_ids.user_id: the two contacts have different ones",
                               {{"field", user_id.field}});
  }
  if (Severity(from.contact.status) > Severity(survivor.status)) {
    survivor.status = from.contact.status;
    plan.primary.changed_fields.push_back("status");
  }
  // The relationship began when the earlier of the two began, whoever survives.
  if (from.contact.create_time < survivor.create_time) {
    survivor.create_time = from.contact.create_time;
    plan.primary.changed_fields.push_back("create_time");
  }
  std::sort(plan.primary.changed_fields.begin(), plan.primary.changed_fields.end());
  ResolveSubscriptions(from, to, plan);
  MoveHistories(from, to, plan);

  survivor.version = to.contact.version + 1;
  survivor.update_time = now;
  plan.primary.event = ContactEvent::kUpdated;
  for (const KnownIdentifier& moved : plan.moved_identifiers) {
    plan.primary.identifiers_added.push_back(moved.identifier);
    plan.secondary.identifiers_removed.push_back(moved.identifier);
  }
  plan.primary.after = std::move(survivor);

  Contact alias = from.contact;
  alias.merged_into = to.contact.key.id;
  alias.email.clear();
  alias.phone.clear();
  alias.external_ids.clear();
  alias.version = from.contact.version + 1;
  alias.update_time = now;
  plan.secondary.event = ContactEvent::kUpdated;
  plan.secondary.after = std::move(alias);
  return plan;
}

}  // namespace clm::contact
