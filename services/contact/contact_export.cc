#include "services/contact/contact_export.h"

#include <optional>
#include <utility>
#include <vector>

#include "libs/base/status_macros.h"
#include "services/contact/contact_proto.h"

namespace clm::contact {
namespace {

// Rows of each kind that are read at a time. A change of a contact may have a megabyte, an event
// 32 KiB.
constexpr int kPage = 100;
constexpr int kHistoryPage = 10;
// A part ends with what brings it to this size.
constexpr size_t kPartBytes = 256 * 1024;

class Parts {
 public:
  explicit Parts(absl::FunctionRef<absl::Status(v1::ExportContactResponse)> take) : take_(take) {}

  template <class Item>
  absl::Status Add(Item item,
                   google::protobuf::RepeatedPtrField<Item>* (v1::ExportContactResponse::*list)()) {
    bytes_ += item.ByteSizeLong();
    *(part_.*list)()->Add() = std::move(item);
    return bytes_ < kPartBytes ? absl::OkStatus() : Give();
  }
  absl::Status SetContact(v1::Contact contact) {
    bytes_ += contact.ByteSizeLong();
    *part_.mutable_contact() = std::move(contact);
    return bytes_ < kPartBytes ? absl::OkStatus() : Give();
  }
  absl::Status End(absl::Time now) {
    ToProto(now, part_.mutable_export_time());
    return Give();
  }

 private:
  absl::Status Give() {
    bytes_ = 0;
    return take_(std::exchange(part_, {}));
  }

  const absl::FunctionRef<absl::Status(v1::ExportContactResponse)> take_;
  v1::ExportContactResponse part_;
  size_t bytes_ = 0;
};

using Response = v1::ExportContactResponse;

absl::Status AddEvents(ContactReader& reader, const EntityKey& key, absl::Time now,
                       absl::Time deadline, Parts& parts) {
  ContactReader::EventsQuery query{key, "", std::nullopt, kPage, now};
  for (;;) {
    CLM_ASSIGN_OR_RETURN(const auto page, reader.Events(query, deadline));
    for (const auto& event : page) {
      CLM_RETURN_IF_ERROR(parts.Add(ToProto(key, event), &Response::mutable_events));
    }
    if (static_cast<int>(page.size()) < kPage) return absl::OkStatus();
    query.after = {page.back().occur_time, page.back().event_id};
  }
}

absl::Status AddHistory(ContactReader& reader, const EntityKey& key, absl::Time deadline,
                        Parts& parts) {
  for (int64_t before = INT64_MAX; before > 0;) {
    CLM_ASSIGN_OR_RETURN(const auto page, reader.History(key, "", before, kHistoryPage, deadline));
    for (const auto& entry : page.entries) {
      CLM_RETURN_IF_ERROR(parts.Add(ToProto(entry), &Response::mutable_history));
    }
    before = page.next_version;
  }
  return absl::OkStatus();
}

absl::Status AddCosts(ContactReader& reader, const EntityKey& key, absl::Time deadline,
                      Parts& parts) {
  for (Uuid after;;) {
    CLM_ASSIGN_OR_RETURN(const auto page, reader.Costs(key.tenant, key.id, after, kPage, deadline));
    for (const auto& cost : page) {
      CLM_RETURN_IF_ERROR(
          parts.Add(ToProto(key.tenant, cost), &Response::mutable_acquisition_costs));
    }
    if (static_cast<int>(page.size()) < kPage) return absl::OkStatus();
    after = page.back().id;
  }
}

absl::Status AddViolations(ContactReader& reader, const std::string& tenant,
                           const std::vector<Uuid>& ids, absl::Time deadline, Parts& parts) {
  for (std::optional<ContactReader::ViolationPlace> after;;) {
    CLM_ASSIGN_OR_RETURN(const auto page, reader.Violations(tenant, ids, after, kPage, deadline));
    for (const auto& row : page) {
      CLM_RETURN_IF_ERROR(parts.Add(ToProto({tenant, row.place.contact}, row.stored),
                                    &Response::mutable_violations));
    }
    if (static_cast<int>(page.size()) < kPage) return absl::OkStatus();
    after = page.back().place;
  }
}

absl::Status AddIdentifiers(ContactReader& reader, const EntityKey& key, absl::Time deadline,
                            Parts& parts) {
  CLM_ASSIGN_OR_RETURN(const auto profiles, reader.Profiles(key.tenant, {key.id}, deadline));
  for (const auto& profile : profiles) {
    for (const auto& known : profile.identifiers) {
      Response::Identifier out;
      out.set_type(known.identifier.type);
      out.set_value(known.identifier.value);
      ToProto(known.first_seen, out.mutable_first_seen_time());
      CLM_RETURN_IF_ERROR(parts.Add(std::move(out), &Response::mutable_identifiers));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ExportInParts(ContactReader& reader, const EntityKey& asked, absl::Time now,
                           absl::Time deadline,
                           absl::FunctionRef<absl::Status(v1::ExportContactResponse part)> take) {
  CLM_ASSIGN_OR_RETURN(const ContactReader::Whole whole, reader.GetWhole(asked, deadline));
  const EntityKey& key = whole.stored.contact.key;
  const std::vector<Uuid>& aliases = whole.stored.aliases;
  Parts parts(take);
  CLM_RETURN_IF_ERROR(parts.SetContact(ToProto(whole.stored.contact, aliases)));
  for (const auto& act : whole.around.consents) {
    CLM_RETURN_IF_ERROR(parts.Add(ToProto(act), &Response::mutable_consents));
  }
  for (const auto& s : whole.around.subscriptions) {
    CLM_RETURN_IF_ERROR(parts.Add(ToProto(key.tenant, s), &Response::mutable_subscriptions));
  }
  for (const auto& s : whole.around.suppressions) {
    CLM_RETURN_IF_ERROR(parts.Add(ToProto(s), &Response::mutable_suppressions));
  }
  CLM_RETURN_IF_ERROR(AddEvents(reader, key, now, deadline, parts));
  std::vector<Uuid> ids = {key.id};
  ids.insert(ids.end(), aliases.begin(), aliases.end());
  for (const Uuid& id : ids) {
    CLM_RETURN_IF_ERROR(AddHistory(reader, {key.tenant, id}, deadline, parts));
  }
  CLM_RETURN_IF_ERROR(AddCosts(reader, key, deadline, parts));
  CLM_RETURN_IF_ERROR(AddViolations(reader, key.tenant, ids, deadline, parts));
  CLM_RETURN_IF_ERROR(AddIdentifiers(reader, key, deadline, parts));
  for (const Uuid& alias : aliases) {
    CLM_ASSIGN_OR_RETURN(const auto merged, reader.Records(key.tenant, {alias}, deadline));
    for (const Contact& record : merged) {
      CLM_RETURN_IF_ERROR(parts.Add(ToProto(record), &Response::mutable_merged_contacts));
    }
  }
  return parts.End(now);
}

}  // namespace clm::contact
