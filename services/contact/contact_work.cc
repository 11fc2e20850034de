#include "services/contact/contact_work.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/pg/key_args.h"
#include "nlohmann/json.hpp"
#include "services/contact/contact_proto.h"

namespace clm::contact {
namespace {

constexpr pg::Statement kLoadRegistries{"contact.load_registries", R"sql(
  SELECT tenant_id, id, type, display_name, enum_values, personal, create_time, version, indexed
  FROM attribute_definition WHERE tenant_id = ANY ($1::text[]) ORDER BY tenant_id, id)sql"};

constexpr pg::Statement kLoadIdentityPolicies{"contact.load_identity_policies", R"sql(
  SELECT tenant_id, policy, update_time, version FROM identity_policy
  WHERE tenant_id = ANY ($1::text[]))sql"};

// What is looked up by key is looked up in a subquery that OFFSET 0 keeps the planner from turning
// into a join: one index probe per key, whatever it believes of the table's size. A join planned
// while the table was empty may read a tenant from end to end. Updates and deletes, which must name
// their table in a join, join it by the place of the row found; the lock of the shard keeps the row
// where it is.
//
// Where it is done often, arrays are unnested in the list of a SELECT, side by side: a FROM
// unnest(...) of several gathers each of them in a store first.

constexpr pg::Statement kLoadContacts{"contact.load", R"sql(
  SELECT c.tenant_id, c.id, c.status, c.email, c.phone, c.given_name, c.family_name, c.locale,
         c.timezone, c.external_ids, c.attributes, c.source, c.merged_into, c.create_time,
         c.update_time, c.version
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS id) AS w
  CROSS JOIN LATERAL (SELECT * FROM contact c WHERE c.tenant_id = w.tenant_id AND c.id = w.id
    OFFSET 0) c)sql"};

constexpr pg::Statement kLoadStandings{"contact.load_standings", R"sql(
  SELECT w.place, c.status, c.merged_into, c.version
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS id,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM contact c WHERE c.tenant_id = w.tenant_id AND c.id = w.id
    OFFSET 0) c)sql"};

// Reads what was committed before the shards were locked: whoever merges holds the locks of both.
constexpr pg::Statement kLoadMergeCounts{"contact.load_merge_counts", R"sql(
  SELECT w.tenant_id, coalesce(m.merge_count, 0)
  FROM unnest($1::text[]) AS w (tenant_id)
  LEFT JOIN LATERAL (SELECT merge_count FROM merge_count m WHERE m.tenant_id = w.tenant_id
    OFFSET 0) m ON true)sql"};

constexpr pg::Statement kLoadIdentifiers{"contact.load_identifiers", R"sql(
  SELECT i.tenant_id, i.type, i.value, i.contact_id, i.first_seen
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS type,
               unnest($3::text[]) AS value) AS w
  CROSS JOIN LATERAL (SELECT * FROM contact_identifier i WHERE i.tenant_id = w.tenant_id
    AND i.type = w.type AND i.value = w.value OFFSET 0) i)sql"};

constexpr pg::Statement kLoadTombstones{"contact.load_tombstones", R"sql(
  SELECT t.tenant_id, t.hash
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::bytea[]) AS hash) AS w
  CROSS JOIN LATERAL (SELECT * FROM tombstone t WHERE t.tenant_id = w.tenant_id
    AND t.hash = w.hash OFFSET 0) t)sql"};

constexpr pg::Statement kLoadEvents{"contact.load_events", R"sql(
  SELECT e.tenant_id, e.event_id, e.contact_id
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS event_id) AS w
  CROSS JOIN LATERAL (SELECT * FROM event e WHERE e.tenant_id = w.tenant_id
    AND e.event_id = w.event_id OFFSET 0) e)sql"};

constexpr pg::Statement kLoadCosts{"contact.load_costs", R"sql(
  SELECT c.tenant_id, c.id, c.contact_id, c.source, c.start_date, c.end_date, c.amount_minor,
         c.currency, c.create_time
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM acquisition_cost c WHERE c.tenant_id = w.tenant_id
    AND c.id = w.id OFFSET 0) c)sql"};

constexpr pg::Statement kLoadTopics{"contact.load_topics", R"sql(
  SELECT t.tenant_id, t.id, t.display_name, t.channel, t.opt_in, t.create_time, t.purpose
  FROM unnest($1::text[], $2::text[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM topic t WHERE t.tenant_id = w.tenant_id AND t.id = w.id
    OFFSET 0) t)sql"};

constexpr pg::Statement kLoadConsents{"contact.load_consents", R"sql(
  SELECT c.tenant_id, c.contact_id, c.purpose, c.channel, c.state, c.act_time, c.expire_time,
         c.legal_basis, c.source, c.text_version, c.actor, c.record_time
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM consent_act c WHERE c.tenant_id = w.tenant_id
    AND c.contact_id = w.id OFFSET 0) c
  ORDER BY c.tenant_id, c.contact_id, c.act_time, c.act_id)sql"};

constexpr pg::Statement kLoadSubscriptions{"contact.load_subscriptions", R"sql(
  SELECT s.tenant_id, s.contact_id, s.topic, s.state, s.change_time, s.explicit_act, s.actor, s.source
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM subscription s WHERE s.tenant_id = w.tenant_id
    AND s.contact_id = w.id OFFSET 0) s
  ORDER BY s.tenant_id, s.contact_id, s.topic)sql"};

constexpr pg::Statement kLoadHeld{"contact.load_held", R"sql(
  SELECT i.tenant_id, i.contact_id, i.type, i.value, i.first_seen
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM contact_identifier i WHERE i.tenant_id = w.tenant_id
    AND i.contact_id = w.id OFFSET 0) i
  ORDER BY i.tenant_id, i.contact_id, i.type, i.value)sql"};

constexpr pg::Statement kLoadAliases{"contact.load_aliases", R"sql(
  SELECT a.tenant_id, a.contact_id, a.alias_id
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM contact_alias a WHERE a.tenant_id = w.tenant_id
    AND a.contact_id = w.id OFFSET 0) a
  ORDER BY a.tenant_id, a.contact_id, a.alias_id)sql"};

constexpr pg::Statement kLoadSuppressions{"contact.load_suppressions", R"sql(
  SELECT s.tenant_id, s.channel, s.hash, s.address, s.reason, s.create_time, s.actor
  FROM unnest($1::text[], $2::text[], $3::bytea[]) AS w (tenant_id, channel, hash)
  CROSS JOIN LATERAL (SELECT * FROM suppression s WHERE s.tenant_id = w.tenant_id
    AND s.channel = w.channel AND s.hash = w.hash OFFSET 0) s)sql"};

constexpr pg::Statement kInsertContacts{"contact.insert", R"sql(
  INSERT INTO contact (tenant_id, id, status, email, phone, given_name, family_name, locale,
                       timezone, external_ids, attributes, source, merged_into, create_time,
                       update_time, version)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::smallint[]), unnest($4::text[]),
         unnest($5::text[]), unnest($6::text[]), unnest($7::text[]), unnest($8::text[]),
         unnest($9::text[]), unnest($10::jsonb[]), unnest($11::jsonb[]), unnest($12::text[]),
         unnest($13::uuid[]), unnest($14::timestamptz[]), unnest($15::timestamptz[]),
         unnest($16::bigint[]))sql"};

constexpr pg::Statement kUpdateContacts{"contact.update", R"sql(
  UPDATE contact c SET
    (status, email, phone, given_name, family_name, locale, timezone, external_ids, attributes,
     source, merged_into, create_time, update_time, version) =
    (n.status, n.email, n.phone, n.given_name, n.family_name, n.locale, n.timezone, n.external_ids,
     n.attributes, n.source, n.merged_into, n.create_time, n.update_time, n.version)
  FROM unnest($1::text[], $2::uuid[], $3::smallint[], $4::text[], $5::text[], $6::text[],
              $7::text[], $8::text[], $9::text[], $10::jsonb[], $11::jsonb[], $12::text[],
              $13::uuid[], $14::timestamptz[], $15::timestamptz[], $16::bigint[])
    AS n (tenant_id, id, status, email, phone, given_name, family_name, locale, timezone,
          external_ids, attributes, source, merged_into, create_time, update_time, version)
  CROSS JOIN LATERAL (SELECT f.ctid FROM contact f
                      WHERE f.tenant_id = n.tenant_id AND f.id = n.id OFFSET 0) AS at
  WHERE c.ctid = at.ctid)sql"};

constexpr pg::Statement kRemoveIdentifiers{"contact.remove_identifiers", R"sql(
  DELETE FROM contact_identifier i
  USING unnest($1::text[], $2::text[], $3::text[]) AS w (tenant_id, type, value)
  CROSS JOIN LATERAL (SELECT f.ctid FROM contact_identifier f WHERE f.tenant_id = w.tenant_id
                      AND f.type = w.type AND f.value = w.value OFFSET 0) AS at
  WHERE i.ctid = at.ctid)sql"};

// Sorted by the caller: two transactions that meet on the unique index wait in the same order.
constexpr pg::Statement kSaveIdentifiers{"contact.save_identifiers", R"sql(
  INSERT INTO contact_identifier (tenant_id, type, value, contact_id, first_seen)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::uuid[]),
         unnest($5::timestamptz[]))sql"};

constexpr pg::Statement kSaveAttributeChanges{"contact.save_attribute_changes", R"sql(
  INSERT INTO attribute_change (tenant_id, contact_id, version, set_time, actor, source, changes,
                                former, reason)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::bigint[]), unnest($4::timestamptz[]),
         unnest($5::text[]), unnest($6::text[]), unnest($7::jsonb[]), unnest($8::jsonb[]),
         unnest($9::text[]))sql"};

constexpr pg::Statement kRemoveIndexed{"contact.remove_indexed", R"sql(
  DELETE FROM attribute_index i
  USING (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS attribute_id,
                unnest($3::text[]) AS value, unnest($4::uuid[]) AS contact_id) AS w
  CROSS JOIN LATERAL (SELECT f.ctid FROM attribute_index f WHERE f.tenant_id = w.tenant_id
                      AND f.attribute_id = w.attribute_id AND f.value = w.value
                      AND f.contact_id = w.contact_id OFFSET 0) AS at
  WHERE i.ctid = at.ctid)sql"};

// A row too many leads to a contact that the filter then refuses; it is no reason to refuse a
// write.
constexpr pg::Statement kSaveIndexed{"contact.save_indexed", R"sql(
  INSERT INTO attribute_index (tenant_id, attribute_id, value, contact_id)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::uuid[])
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kInsertEvents{"contact.insert_events", R"sql(
  INSERT INTO event (tenant_id, contact_id, occur_time, event_id, type, receive_time, amount_minor,
                     currency, quantity, channel, source, properties)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::timestamptz[]), unnest($4::uuid[]),
         unnest($5::text[]), unnest($6::timestamptz[]), unnest($7::bigint[]), unnest($8::text[]),
         unnest($9::bigint[]), unnest($10::text[]), unnest($11::text[]), unnest($12::jsonb[]))sql"};

// $7: ids separated by blanks, as arrays of one statement have to be of one length.
constexpr pg::Statement kSaveViolations{"contact.save_violations", R"sql(
  INSERT INTO identity_violation (tenant_id, contact_id, kind, type, value, limit_type, profiles,
                                  event_id, find_time, event_count)
  SELECT n.tenant_id, n.contact_id, n.kind, n.type, n.value, n.limit_type,
         string_to_array(n.profiles, ' ')::uuid[], n.event_id, n.find_time, n.event_count
  FROM unnest($1::text[], $2::uuid[], $3::smallint[], $4::text[], $5::text[], $6::text[],
              $7::text[], $8::uuid[], $9::timestamptz[], $10::bigint[])
    AS n (tenant_id, contact_id, kind, type, value, limit_type, profiles, event_id, find_time,
          event_count)
  ON CONFLICT (tenant_id, contact_id, kind, type, value, limit_type) DO UPDATE SET
    (profiles, event_id, find_time, event_count) =
    (excluded.profiles, excluded.event_id, excluded.find_time,
     identity_violation.event_count + excluded.event_count))sql"};

constexpr pg::Statement kInsertConsents{"contact.insert_consents", R"sql(
  INSERT INTO consent_act (tenant_id, contact_id, act_id, purpose, channel, state, act_time,
                           expire_time, legal_basis, source, text_version, actor, record_time)
  SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::smallint[],
                       $7::timestamptz[], $8::timestamptz[], $9::text[], $10::text[], $11::text[],
                       $12::text[], $13::timestamptz[]))sql"};

constexpr pg::Statement kSaveSubscriptions{"contact.save_subscriptions", R"sql(
  INSERT INTO subscription (tenant_id, contact_id, topic, state, change_time, explicit_act, actor, source)
  SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::smallint[], $5::timestamptz[],
                       $6::boolean[], $7::text[], $8::text[])
  ON CONFLICT (tenant_id, contact_id, topic) DO UPDATE SET
    (state, change_time, explicit_act, actor, source) =
    (excluded.state, excluded.change_time, excluded.explicit_act, excluded.actor, excluded.source))sql"};

constexpr pg::Statement kSaveSuppressions{"contact.save_suppressions", R"sql(
  INSERT INTO suppression (tenant_id, channel, hash, address, reason, create_time, actor)
  SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::smallint[],
                       $6::timestamptz[], $7::text[])
  ON CONFLICT (tenant_id, channel, hash) DO UPDATE SET
    (address, reason, create_time, actor) =
    (excluded.address, excluded.reason, excluded.create_time, excluded.actor))sql"};

// By the key: an address that gains an owner changes its shard, so that this row alone may be
// written by two transactions at once, and a place would then be out of date.
constexpr pg::Statement kRemoveSuppressions{"contact.remove_suppressions", R"sql(
  DELETE FROM suppression s
  USING unnest($1::text[], $2::text[], $3::bytea[]) AS w (tenant_id, channel, hash)
  WHERE s.tenant_id = w.tenant_id AND s.channel = w.channel AND s.hash = w.hash)sql"};

constexpr pg::Statement kSaveTopic{"contact.save_topic", R"sql(
  INSERT INTO topic (tenant_id, id, display_name, channel, opt_in, create_time, purpose)
  VALUES ($1::text, $2::text, $3::text, $4::text, $5::smallint, $6::timestamptz, $7::text))sql"};

constexpr pg::Statement kSaveDefinition{"contact.save_definition", R"sql(
  INSERT INTO attribute_definition (tenant_id, id, type, display_name, enum_values, personal,
                                    create_time, version, indexed)
  VALUES ($1::text, $2::text, $3::smallint, $4::text, $5::text[], $6::boolean, $7::timestamptz,
          $8::bigint, $9::boolean)
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (display_name, enum_values, personal, version) =
    (excluded.display_name, excluded.enum_values, excluded.personal, excluded.version))sql"};

constexpr pg::Statement kSaveIdentityPolicy{"contact.save_identity_policy", R"sql(
  INSERT INTO identity_policy (tenant_id, policy, update_time, version)
  VALUES ($1::text, $2::bytea, $3::timestamptz, $4::bigint)
  ON CONFLICT (tenant_id) DO UPDATE SET (policy, update_time, version) =
    (excluded.policy, excluded.update_time, excluded.version))sql"};

constexpr pg::Statement kInsertCost{"contact.insert_cost", R"sql(
  INSERT INTO acquisition_cost (tenant_id, id, contact_id, source, start_date, end_date,
                                amount_minor, currency, create_time)
  VALUES ($1::text, $2::uuid, $3::uuid, $4::text, $5::date, $6::date, $7::bigint, $8::text,
          $9::timestamptz))sql"};

constexpr pg::Statement kInsertTombstones{"contact.insert_tombstones", R"sql(
  INSERT INTO tombstone (tenant_id, hash, erase_time)
  SELECT $1::text, h, $3::timestamptz FROM unnest($2::bytea[]) AS h
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kPurgeSurroundings{"contact.purge", R"sql(
  WITH a AS (DELETE FROM attribute_change
             WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid[])),
       i AS (DELETE FROM contact_identifier
             WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid[])),
       d AS (DELETE FROM duplicate_candidate WHERE tenant_id = $1::text
             AND (contact_id = ANY ($2::uuid[]) OR duplicate_id = ANY ($2::uuid[]))),
       k AS (DELETE FROM duplicate_key
             WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid[])),
       v AS (DELETE FROM identity_violation
             WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid[])),
       r AS (DELETE FROM request WHERE tenant_id = $1::text AND aggregate_id = ANY ($2::uuid[])
             AND request_id IS DISTINCT FROM $3::uuid)
  DELETE FROM subscription WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid[]))sql"};

// One identifier at a time: a join with many may be planned to read all violations of the tenant,
// and no place tells a row that is another contact's, whose shard is not locked.
constexpr pg::Statement kPurgeViolations{"contact.purge_violations", R"sql(
  DELETE FROM identity_violation
  WHERE tenant_id = $1::text AND type = $2::text AND value = $3::text)sql"};

constexpr pg::Statement kAliasesOf{"contact.aliases_of", R"sql(
  SELECT alias_id FROM contact_alias WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

constexpr pg::Statement kPurgeAliases{"contact.purge_aliases", R"sql(
  UPDATE contact SET (email, phone, given_name, family_name, locale, timezone, external_ids,
                      attributes, status) = ('', '', '', '', '', '', '{}', '{}', 4)
  WHERE tenant_id = $1::text AND id = ANY ($2::uuid[]))sql"};

// As KeepsCost says. Properties are stored with their types: {"cost_minor": ["INT64", "800"]}.
constexpr pg::Statement kAnonymizeEvents{"contact.anonymize_events", R"sql(
  UPDATE event SET channel = '', properties = CASE
      WHEN type IN ('purchase', 'refund') AND properties->'cost_minor'->>1 ~ '^[0-9]{1,15}$'
      THEN jsonb_build_object('cost_minor', properties->'cost_minor') ELSE '{}' END
  WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

// An event was recorded at the instant it was received, which bounds the search; a subject alone is
// not to be found. Only an erase of the contact looks at its rows again.
constexpr pg::Statement kRecordedBehavior{"contact.recorded_behavior", R"sql(
  SELECT shard, off FROM journal
  WHERE tenant_id = $1::text AND shard = ANY ($3::smallint[]) AND type = $4::text
    AND subject = ANY ($5::text[]) AND record_time = ANY (ARRAY(
      SELECT DISTINCT receive_time FROM event
      WHERE tenant_id = $1::text AND contact_id = $2::uuid)))sql"};

constexpr pg::Statement kJournalEvents{"contact.journal_events", R"sql(
  SELECT j.shard, j.off, j.event
  FROM unnest($1::smallint[], $2::bigint[]) AS w (shard, off)
  CROSS JOIN LATERAL (SELECT * FROM journal f WHERE f.shard = w.shard AND f.off = w.off
    OFFSET 0) j)sql"};

constexpr pg::Statement kRewriteJournal{"contact.rewrite_journal", R"sql(
  UPDATE journal j SET event = w.event
  FROM unnest($1::smallint[], $2::bigint[], $3::bytea[]) AS w (shard, off, event)
  CROSS JOIN LATERAL (SELECT f.ctid FROM journal f WHERE f.shard = w.shard AND f.off = w.off
                      OFFSET 0) AS at
  WHERE j.ctid = at.ctid)sql"};

constexpr pg::Statement kMoveEvents{"contact.move_events", R"sql(
  UPDATE event SET contact_id = $3::uuid WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

constexpr pg::Statement kMoveCosts{"contact.move_costs", R"sql(
  UPDATE acquisition_cost SET contact_id = $3::uuid
  WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

constexpr pg::Statement kMoveIdentifiers{"contact.move_identifiers", R"sql(
  UPDATE contact_identifier SET contact_id = $3::uuid
  WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

// The duplicate and all that were merged into it before.
constexpr pg::Statement kMoveAliases{"contact.move_aliases", R"sql(
  WITH earlier AS (
    UPDATE contact_alias SET contact_id = $3::uuid
    WHERE tenant_id = $1::text AND contact_id = $2::uuid RETURNING alias_id
  ), added AS (
    INSERT INTO contact_alias (tenant_id, contact_id, alias_id) VALUES ($1::text, $3::uuid, $2::uuid)
  )
  UPDATE contact SET merged_into = $3::uuid
  WHERE tenant_id = $1::text AND id = ANY (ARRAY(SELECT alias_id FROM earlier)))sql"};

constexpr pg::Statement kMoveHistory{"contact.move_history", R"sql(
  WITH s AS (DELETE FROM subscription WHERE tenant_id = $1::text AND contact_id = $2::uuid),
       c AS (DELETE FROM consent_act WHERE tenant_id = $1::text AND contact_id = $2::uuid),
       k AS (DELETE FROM duplicate_key WHERE tenant_id = $1::text AND contact_id = $2::uuid)
  DELETE FROM duplicate_candidate
  WHERE tenant_id = $1::text AND (contact_id = $2::uuid OR duplicate_id = $2::uuid))sql"};

constexpr pg::Statement kCountMerge{"contact.count_merge", R"sql(
  INSERT INTO merge_count (tenant_id, merge_count) VALUES ($1::text, 1)
  ON CONFLICT (tenant_id) DO UPDATE SET merge_count = merge_count.merge_count + 1)sql"};

constexpr pg::Statement kInsertMerge{"contact.insert_merge", R"sql(
  INSERT INTO merge (tenant_id, merge_id, primary_id, duplicate_id, filled_fields, merge_time, actor)
  VALUES ($1::text, $2::uuid, $3::uuid, $4::uuid, $5::text[], $6::timestamptz, $7::text))sql"};

// Whether an anonymized event keeps `cost`, its property kGoodsCost.
bool KeepsCost(const std::string& type, const v1::AttributeValue& cost) {
  if (type != kPurchase && type != kRefund) return false;
  const auto value = FromProto("", cost);
  if (!value.ok() || !*value || std::holds_alternative<StringSet>(**value)) return false;
  const std::string text = FormatValue(**value);
  return !text.empty() && text.size() <= kMaxGoodsCostDigits &&
         text.find_first_not_of("0123456789") == std::string::npos;
}

// Takes what may be personal out of the events at these places of the journal.
absl::Status AnonymizeEvents(pg::Tx& tx, const std::vector<int64_t>& shards,
                             const std::vector<int64_t>& offsets) {
  pg::Args args;
  args.AddArray(shards).AddArray(offsets);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kJournalEvents, args));
  std::vector<int64_t> at_shards, at_offsets;
  std::vector<std::string> events;
  for (int i = 0; i < rows.size(); ++i) {
    event::v1::Event event;
    v1::BehaviorRecorded recorded;
    if (!event.ParseFromString(rows[i].Bytes(2)) || !recorded.ParseFromString(event.payload())) {
      return error::Internal("an event is stored in an unknown form");
    }
    for (v1::BehaviorEvent& one : *recorded.mutable_events()) {
      const auto cost = one.properties().find(kGoodsCost);
      std::optional<v1::AttributeValue> kept;
      if (cost != one.properties().end() && KeepsCost(one.type(), cost->second)) {
        kept = cost->second;
      }
      one.clear_properties();
      if (kept) (*one.mutable_properties())[kGoodsCost] = *std::move(kept);
      one.clear_channel();
    }
    event.set_payload(recorded.SerializeAsString());
    at_shards.push_back(rows[i].Int(0));
    at_offsets.push_back(rows[i].Int(1));
    events.push_back(event.SerializeAsString());
  }
  pg::Args rewritten;
  rewritten.AddArray(at_shards).AddArray(at_offsets).AddBytesArray(events);
  return tx.Exec(kRewriteJournal, rewritten).status();
}

// Takes what may be personal out of the journal's rows of a contact's behaviour; `ids` are all that
// it was known by. The rows stay, in their places.
absl::Status AnonymizeJournal(pg::Tx& tx, const EntityKey& contact, const std::vector<Uuid>& ids) {
  journal::ShardSet shards;
  std::vector<std::string> names;
  for (const Uuid& id : ids) {
    shards.set(ShardOf(contact.tenant, id));
    names.push_back(EntityName(kContacts, {contact.tenant, id}));
  }
  std::vector<int64_t> shard_list;
  for (int s = 0; s < kShards; ++s) {
    if (shards[s]) shard_list.push_back(s);
  }
  pg::Args args;
  args.Add(contact.tenant).Add(contact.id).AddArray(shard_list);
  args.Add(v1::BehaviorRecorded::descriptor()->full_name()).AddArray(names);
  CLM_ASSIGN_OR_RETURN(const pg::Result places, tx.Exec(kRecordedBehavior, args));
  // An event may have a megabyte.
  constexpr int kAtOnce = 16;
  for (int begin = 0; begin < places.size(); begin += kAtOnce) {
    std::vector<int64_t> at_shards, at_offsets;
    for (int i = begin; i < std::min(begin + kAtOnce, places.size()); ++i) {
      at_shards.push_back(places[i].Int(0));
      at_offsets.push_back(places[i].Int(1));
    }
    CLM_RETURN_IF_ERROR(AnonymizeEvents(tx, at_shards, at_offsets));
  }
  return absl::OkStatus();
}

std::string JsonOf(const std::map<std::string, std::string>& values) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [key, value] : values) json[key] = value;
  return json.dump();
}

// The kind of identifier that an address of a channel is.
std::string IdentifierType(const std::string& channel) {
  if (channel == "email") return kEmailType;
  if (channel == "sms" || channel == "phone") return kPhoneType;
  return channel;
}

// Attributes by their ids, fields under "contact.".
AttributeMap Remembered(const Contact& contact) {
  AttributeMap all = contact.attributes;
  for (auto& [name, value] : FieldsOf(contact)) {
    all.emplace(absl::StrCat(kFieldPrefix, name), std::move(value));
  }
  return all;
}

// {"plan": ["STRING", "pro"], "score": null}: those of `to` that differ in `from`, and null for
// those that `to` lacks.
std::string ChangesJson(const AttributeMap& from, const AttributeMap& to) {
  AttributeMap set;
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [id, value] : to) {
    const auto it = from.find(id);
    if (it == from.end() || it->second != value) set[id] = value;
  }
  if (!set.empty()) json = nlohmann::json::parse(ToTaggedJson(set));
  for (const auto& [id, value] : from) {
    if (to.find(id) == to.end()) json[id] = nullptr;
  }
  return json.empty() ? "" : json.dump();
}

}  // namespace

absl::StatusOr<Contact> ReadContact(const pg::Row& row, const AttributeRegistry& registry) {
  Contact c;
  c.key.tenant = std::string(row.Text(0));
  c.key.id = row.Uuid(1);
  c.status = static_cast<ContactStatus>(row.Int(2));
  c.email = std::string(row.Text(3));
  c.phone = std::string(row.Text(4));
  c.given_name = std::string(row.Text(5));
  c.family_name = std::string(row.Text(6));
  c.locale = std::string(row.Text(7));
  c.timezone = std::string(row.Text(8));
  if (const absl::string_view ids = row.Text(9); ids != "{}") {
    const auto json = nlohmann::json::parse(ids.begin(), ids.end(), nullptr, false);
    if (!json.is_object()) return error::Internal("external ids are stored in an unknown form");
    for (const auto& [type, value] : json.items()) c.external_ids[type] = value.get<std::string>();
  }
  if (const absl::string_view attributes = row.Text(10); attributes != "{}") {
    CLM_ASSIGN_OR_RETURN(c.attributes, FromJson(registry, attributes));
  }
  c.source = std::string(row.Text(11));
  c.merged_into = row.OptUuid(12);
  c.create_time = row.Time(13);
  c.update_time = row.Time(14);
  c.version = row.Int(15);
  return c;
}

absl::StatusOr<StoredIdentityPolicy> ReadIdentityPolicy(const pg::Row& row, int column) {
  v1::IdentityPolicy wire;
  StoredIdentityPolicy stored;
  error::FieldErrors errors;
  const bool parsed = wire.ParseFromString(row.Bytes(column));
  stored.policy = FromProto("identity_policy", wire, errors);
  if (!parsed || !errors.empty()) {
    return error::Internal("an identity policy is stored in an unknown form");
  }
  stored.update_time = row.Time(column + 1);
  stored.version = row.Int(column + 2);
  return stored;
}

std::string ContactWork::Hash(absl::string_view secret, const std::string& tenant,
                              const Identifier& identifier) {
  return TombstoneHash(absl::StrCat(secret, "/", tenant), identifier);
}

ContactWork::ContactWork(std::string secret, ContactObserver* observer, KnownStandings* known)
    : secret_(std::move(secret)), observer_(observer), known_(known) {}

// ---- Declarations.

void ContactWork::NeedContact(const EntityKey& key) {
  contacts_.try_emplace(key);
  NeedRegistry(key.tenant);
}

void ContactWork::NeedStanding(const EntityKey& key) { standings_.try_emplace(key); }

void ContactWork::NeedIdentifier(const std::string& tenant, const Identifier& identifier) {
  owners_.try_emplace(TenantIdentifier{tenant, identifier});
}

void ContactWork::NeedSpelling(const std::string& tenant, const Identifier& identifier,
                               const Identifier& spelling) {
  NeedIdentifier(tenant, identifier);
  spellings_.emplace_back(TenantIdentifier{tenant, identifier}, spelling);
}

void ContactWork::NeedRegistry(const std::string& tenant) { registries_.try_emplace(tenant); }

void ContactWork::NeedIdentityPolicy(const std::string& tenant) { policies_.try_emplace(tenant); }

void ContactWork::NeedEvent(const std::string& tenant, const Uuid& event_id) {
  events_.try_emplace(EntityKey{tenant, event_id});
}

void ContactWork::NeedCost(const std::string& tenant, const Uuid& cost) {
  costs_.try_emplace(EntityKey{tenant, cost});
}

void ContactWork::NeedTopic(const std::string& tenant, const std::string& topic) {
  topics_.try_emplace(TextKey{tenant, topic});
}

void ContactWork::NeedImportJob(const EntityKey& job) { import_jobs_.try_emplace(job); }

void ContactWork::NeedHeld(const EntityKey& key) { held_.try_emplace(key); }

void ContactWork::NeedSurroundings(const EntityKey& key) {
  NeedContact(key);
  NeedHeld(key);
  surroundings_.try_emplace(key);
}

ContactWork::SuppressionKey ContactWork::KeyOf(const std::string& tenant,
                                               const std::string& channel,
                                               const std::string& address) const {
  return {tenant,
          absl::StrCat(channel, "/", Hash(secret_, tenant, {IdentifierType(channel), address}))};
}

void ContactWork::NeedSuppression(const std::string& tenant, const std::string& channel,
                                  const std::string& address) {
  suppressions_.try_emplace(KeyOf(tenant, channel, address));
}

// ---- Reading.

const Contact* ContactWork::FindContact(const EntityKey& key) const {
  const auto it = contacts_.find(key);
  return it == contacts_.end() || !it->second.contact ? nullptr : &*it->second.contact;
}

std::optional<Standing> ContactWork::FindStanding(const EntityKey& key) const {
  if (const auto it = contacts_.find(key); it != contacts_.end()) {
    if (!it->second.contact) return std::nullopt;
    const Contact& contact = *it->second.contact;
    return Standing{contact.status, contact.merged_into, contact.version};
  }
  const auto it = standings_.find(key);
  return it == standings_.end() ? std::nullopt : it->second;
}

std::optional<Uuid> ContactWork::Owner(const std::string& tenant,
                                       const Identifier& identifier) const {
  const auto it = owners_.find(TenantIdentifier{tenant, identifier});
  return it == owners_.end() ? std::nullopt : it->second.owner;
}

bool ContactWork::IsTombstone(const std::string& tenant, const Identifier& identifier) const {
  const auto it = owners_.find(TenantIdentifier{tenant, identifier});
  return it != owners_.end() && it->second.tombstone;
}

const AttributeRegistry& ContactWork::Registry(const std::string& tenant) const {
  static const AttributeRegistry& kNone = *new AttributeRegistry;
  const auto it = registries_.find(tenant);
  return it == registries_.end() ? kNone : it->second;
}

int64_t ContactWork::DefinitionVersion(const std::string& tenant, const std::string& id) const {
  const auto it = definition_versions_.find(TextKey{tenant, id});
  return it == definition_versions_.end() ? 0 : it->second;
}

const StoredIdentityPolicy& ContactWork::FindIdentityPolicy(const std::string& tenant) const {
  static const auto& kDefault = *new StoredIdentityPolicy;
  const auto it = policies_.find(tenant);
  return it == policies_.end() ? kDefault : it->second;
}

std::optional<Uuid> ContactWork::EventContact(const std::string& tenant,
                                              const Uuid& event_id) const {
  const auto it = events_.find(EntityKey{tenant, event_id});
  return it == events_.end() ? std::nullopt : it->second;
}

const AcquisitionCost* ContactWork::FindCost(const std::string& tenant, const Uuid& cost) const {
  const auto it = costs_.find(EntityKey{tenant, cost});
  return it == costs_.end() || !it->second ? nullptr : &*it->second;
}

const Topic* ContactWork::FindTopic(const std::string& tenant, const std::string& topic) const {
  const auto it = topics_.find(TextKey{tenant, topic});
  return it == topics_.end() || !it->second ? nullptr : &*it->second;
}

const ImportJob* ContactWork::FindImportJob(const EntityKey& job) const {
  const auto it = import_jobs_.find(job);
  return it == import_jobs_.end() || !it->second ? nullptr : &*it->second;
}

namespace {
template <class Map, class Key, class Member>
const auto& Around(const Map& map, const Key& key, Member member) {
  static const auto& kNone = *new typename Map::mapped_type;
  const auto it = map.find(key);
  return it == map.end() ? kNone.*member : it->second.*member;
}
}  // namespace

const std::vector<ConsentAct>& ContactWork::Consents(const EntityKey& key) const {
  return Around(surroundings_, key, &Surroundings::consents);
}

std::vector<Subscription> ContactWork::Subscriptions(const EntityKey& key) const {
  return Around(surroundings_, key, &Surroundings::subscriptions);
}

std::optional<Subscription> ContactWork::FindSubscription(const EntityKey& key,
                                                          const std::string& topic) const {
  for (const auto& s : Around(surroundings_, key, &Surroundings::subscriptions)) {
    if (s.topic == topic) return s;
  }
  return std::nullopt;
}

const std::vector<HeldIdentifier>& ContactWork::Identifiers(const EntityKey& key) const {
  static const auto& kNone = *new std::vector<HeldIdentifier>;
  const auto it = held_.find(key);
  return it == held_.end() ? kNone : it->second;
}

const std::vector<Uuid>& ContactWork::Aliases(const EntityKey& key) const {
  return Around(surroundings_, key, &Surroundings::aliases);
}

std::vector<Suppression> ContactWork::Suppressions(const EntityKey& key) const {
  return Around(surroundings_, key, &Surroundings::suppressions);
}

const Suppression* ContactWork::FindSuppression(const std::string& tenant,
                                                const std::string& channel,
                                                const std::string& address) const {
  const auto it = suppressions_.find(KeyOf(tenant, channel, address));
  return it == suppressions_.end() || !it->second ? nullptr : &*it->second;
}

// ---- Staging.

template <class T>
void ContactWork::Append(std::vector<T>& list, T item) {
  list.push_back(std::move(item));
  undo_.push_back([&list] { list.pop_back(); });
}

template <class Map, class Key, class Value>
void ContactWork::Put(Map& map, const Key& key, Value value) {
  const auto it = map.find(key);
  if (it == map.end()) {
    map.emplace(key, std::move(value));
    undo_.push_back([&map, key] { map.erase(key); });
  } else {
    auto before = std::exchange(it->second, std::move(value));
    undo_.push_back(
        [&map, key, before = std::move(before)]() mutable { map[key] = std::move(before); });
  }
}

void ContactWork::Save(const Change& change, const std::string& actor, const std::string& source,
                       const std::string& reason) {
  if (change.event == ContactEvent::kNone) return;
  const Contact& after = change.after;
  const Slot* slot = nullptr;
  if (const auto it = contacts_.find(after.key); it != contacts_.end()) slot = &it->second;
  const bool stored = slot != nullptr && slot->stored;
  AttributeMap was, is;
  if (slot != nullptr && slot->contact) {
    was = Remembered(*slot->contact);
    is = Remembered(after);
  } else {
    // What a new contact's fields are, the first change of one tells.
    is = after.attributes;
  }
  std::string changes = ChangesJson(was, is);
  if (!changes.empty() && change.event != ContactEvent::kErased) {
    std::string former = was.empty() ? "{}" : ChangesJson(is, was);
    Append(attribute_changes_,
           AttributeChange{after.key, after.version, after.update_time, actor, source, reason,
                           std::move(changes), std::move(former)});
  }
  IndexedValues indexed = slot == nullptr ? IndexedValues() : slot->indexed;
  Put(contacts_, after.key, Slot{after, stored, true, std::move(indexed)});
  for (const Identifier& gone : change.identifiers_removed) {
    SetOwner({after.key.tenant, gone}, std::nullopt, IsTombstone(after.key.tenant, gone),
             after.update_time);
    SetHeld(after.key, gone, std::nullopt);
  }
  for (const Identifier& added : change.identifiers_added) {
    SetOwner({after.key.tenant, added}, after.key.id, false, after.update_time);
    SetHeld(after.key, added, after.update_time);
  }
}

void ContactWork::SetOwner(const TenantIdentifier& key, std::optional<Uuid> owner, bool tombstone,
                           absl::Time first_seen) {
  const auto it = owners_.find(key);
  // An identifier that is given up was not necessarily declared; it has a row if it is given up.
  const bool stored = it == owners_.end() ? !owner : it->second.stored;
  Put(owners_, key, OwnerSlot{owner, true, tombstone, first_seen, stored});
}

void ContactWork::SetHeld(const EntityKey& key, const Identifier& identifier,
                          std::optional<absl::Time> first_seen) {
  const auto it = held_.find(key);
  if (it == held_.end()) return;
  std::vector<HeldIdentifier> held = it->second;
  held.erase(std::remove_if(held.begin(), held.end(),
                            [&](const HeldIdentifier& h) { return h.identifier == identifier; }),
             held.end());
  if (first_seen) held.push_back({identifier, *first_seen});
  Put(held_, key, std::move(held));
}

void ContactWork::Hold(const EntityKey& key, const Identifier& identifier, absl::Time now) {
  SetOwner({key.tenant, identifier}, key.id, false, now);
  SetHeld(key, identifier, now);
}

void ContactWork::AddEvent(const EntityKey& key, BehaviorEvent event) {
  events_[EntityKey{key.tenant, event.event_id}] = key.id;
  new_events_.emplace_back(key, std::move(event));
  undo_.emplace_back([this] {
    const auto& [contact, added] = new_events_.back();
    events_[EntityKey{contact.tenant, added.event_id}] = std::nullopt;
    new_events_.pop_back();
  });
  touched_.insert(key);
}

void ContactWork::AddViolation(const EntityKey& key, StoredViolation violation) {
  Append(new_violations_, std::make_pair(key, std::move(violation)));
}

void ContactWork::AddConsent(const EntityKey& key, ConsentAct act) {
  Surroundings around = surroundings_[key];
  around.consents.push_back(act);
  Put(surroundings_, key, std::move(around));
  Append(new_consents_, std::make_pair(key, std::move(act)));
  touched_.insert(key);
}

void ContactWork::SaveSubscription(const EntityKey& key, Subscription subscription) {
  Surroundings around = surroundings_[key];
  auto& list = around.subscriptions;
  const auto it = std::find_if(list.begin(), list.end(), [&](const Subscription& s) {
    return s.topic == subscription.topic;
  });
  if (it == list.end()) {
    list.push_back(subscription);
  } else {
    *it = subscription;
  }
  Put(surroundings_, key, std::move(around));
  Append(new_subscriptions_, std::make_pair(key, std::move(subscription)));
  touched_.insert(key);
}

void ContactWork::SaveSuppression(const std::string& tenant, Suppression suppression) {
  Put(suppressions_, KeyOf(tenant, suppression.channel, suppression.address),
      std::optional<Suppression>(suppression));
  Append(new_suppressions_, std::make_pair(tenant, std::move(suppression)));
}

void ContactWork::RemoveSuppression(const std::string& tenant, const std::string& channel,
                                    const std::string& address) {
  const SuppressionKey key = KeyOf(tenant, channel, address);
  Put(suppressions_, key, std::optional<Suppression>());
  Append(removed_suppressions_, key);
}

void ContactWork::SaveTopic(const std::string& tenant, Topic topic) {
  Put(topics_, TextKey{tenant, topic.id}, std::optional<Topic>(topic));
  Append(new_topics_, std::make_pair(tenant, std::move(topic)));
}

void ContactWork::SaveDefinition(const std::string& tenant, AttributeDefinition definition,
                                 int64_t version) {
  AttributeRegistry registry = Registry(tenant);
  registry[definition.id] = definition;
  Put(registries_, tenant, std::move(registry));
  Put(definition_versions_, TextKey{tenant, definition.id}, version);
  Append(new_definitions_, std::make_tuple(tenant, std::move(definition), version));
}

void ContactWork::SaveIdentityPolicy(const std::string& tenant, StoredIdentityPolicy policy) {
  Put(policies_, tenant, policy);
  Append(new_policies_, std::make_pair(tenant, std::move(policy)));
}

void ContactWork::AddCost(const std::string& tenant, AcquisitionCost cost) {
  Put(costs_, EntityKey{tenant, cost.id}, std::optional<AcquisitionCost>(cost));
  Append(new_costs_, std::make_pair(tenant, std::move(cost)));
}

void ContactWork::AddImportProgress(ImportProgress progress) {
  Append(new_progress_, std::move(progress));
}

void ContactWork::SaveImportJob(ImportJob job) {
  Put(import_jobs_, job.key, std::optional<ImportJob>(job));
  Append(changed_imports_, std::move(job));
}

void ContactWork::Purge(const EntityKey& key, const std::vector<Identifier>& identifiers,
                        bool anonymize_events, const std::string& request_id) {
  Append(purged_, Purged{key, identifiers, anonymize_events, Uuid::Parse(request_id)});
  // Sweep removes the rows that name the contact. One that it took over in this transaction names
  // whoever had it before.
  for (const Identifier& identifier : identifiers) {
    SetOwner({key.tenant, identifier}, std::nullopt, true, absl::UnixEpoch());
  }
  Surroundings around;
  around.consents = Consents(key);
  Put(surroundings_, key, std::move(around));
  Put(held_, key, std::vector<HeldIdentifier>());
  touched_.insert(key);
}

void ContactWork::ApplyMerge(const MergePlan& plan, const Uuid& merge_id,
                             const std::string& actor) {
  const EntityKey& primary = plan.primary.after.key;
  const EntityKey& duplicate = plan.secondary.after.key;
  // The rows of contact_identifier move as a whole, so the two changes must not touch them too.
  Change survivor = plan.primary;
  Change alias = plan.secondary;
  for (const KnownIdentifier& moved : plan.moved_identifiers) {
    const TenantIdentifier key{primary.tenant, moved.identifier};
    const auto it = owners_.find(key);
    if (it != owners_.end() && it->second.dirty) {
      // Staged by this transaction: has no row to move yet.
      SetOwner(key, primary.id, false, moved.first_seen);
    } else {
      Put(owners_, key, OwnerSlot{primary.id, false, false, moved.first_seen, true});
    }
    SetHeld(duplicate, moved.identifier, std::nullopt);
    SetHeld(primary, moved.identifier, moved.first_seen);
  }
  survivor.identifiers_added.clear();
  survivor.identifiers_removed.clear();
  alias.identifiers_added.clear();
  alias.identifiers_removed.clear();
  Save(survivor, actor, "merge");
  Save(alias, actor, "merge");
  for (const auto& act : plan.moved_consents) AddConsent(primary, act);
  for (const auto& subscription : plan.changed_subscriptions)
    SaveSubscription(primary, subscription);
  Append(merged_, Merged{primary, duplicate, merge_id, actor, survivor.after.update_time,
                         plan.primary.changed_fields});
  touched_.insert(primary);
  touched_.insert(duplicate);
}

void ContactWork::Keep() { undo_.clear(); }

void ContactWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

// ---- Loading.

absl::Status ContactWork::Load(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(LoadIdentifiers(tx));
  CLM_RETURN_IF_ERROR(LoadRegistries(tx));
  CLM_RETURN_IF_ERROR(LoadIdentityPolicies(tx));
  CLM_RETURN_IF_ERROR(LoadContacts(tx));
  CLM_RETURN_IF_ERROR(LoadHeld(tx));
  CLM_RETURN_IF_ERROR(LoadStandings(tx));
  CLM_RETURN_IF_ERROR(LoadEvents(tx));
  CLM_RETURN_IF_ERROR(LoadCosts(tx));
  CLM_RETURN_IF_ERROR(LoadTopics(tx));
  CLM_RETURN_IF_ERROR(LoadImportJobs(tx));
  CLM_RETURN_IF_ERROR(LoadSurroundings(tx));
  return LoadSuppressions(tx);
}

absl::Status ContactWork::LoadRegistries(pg::Tx& tx) {
  if (registries_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants;
  for (const auto& [tenant, _] : registries_) tenants.push_back(tenant);
  pg::Args args;
  args.AddArray(tenants);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadRegistries, args));
  for (int i = 0; i < rows.size(); ++i) {
    const auto row = rows[i];
    AttributeDefinition d;
    d.id = std::string(row.Text(1));
    d.type = static_cast<AttributeType>(row.Int(2));
    d.display_name = std::string(row.Text(3));
    d.enum_values = row.TextArray(4);
    d.personal = row.Bool(5);
    d.create_time = row.Time(6);
    const std::string tenant(row.Text(0));
    d.version = row.Int(7);
    d.indexed = row.Bool(8);
    definition_versions_[TextKey{tenant, d.id}] = d.version;
    registries_[tenant][d.id] = std::move(d);
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadIdentityPolicies(pg::Tx& tx) {
  if (policies_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants;
  for (const auto& [tenant, _] : policies_) tenants.push_back(tenant);
  pg::Args args;
  args.AddArray(tenants);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadIdentityPolicies, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(policies_[std::string(rows[i].Text(0))],
                         ReadIdentityPolicy(rows[i], /*column=*/1));
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadContacts(pg::Tx& tx) {
  if (contacts_.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadContacts, pg::KeyArgs(contacts_)));
  for (int i = 0; i < rows.size(); ++i) {
    const AttributeRegistry& registry = Registry(std::string(rows[i].Text(0)));
    CLM_ASSIGN_OR_RETURN(Contact contact, ReadContact(rows[i], registry));
    Slot& slot = contacts_[contact.key];
    slot.stored = true;
    slot.indexed = IndexedValuesOf(registry, contact);
    slot.contact = std::move(contact);
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadStandings(pg::Tx& tx) {
  std::vector<EntityKey> keys;
  for (const auto& [key, standing] : standings_) {
    if (!contacts_.contains(key)) keys.push_back(key);
  }
  CLM_RETURN_IF_ERROR(RecallStandings(tx, keys));
  if (keys.empty()) return absl::OkStatus();
  std::vector<std::string> tenants;
  std::vector<Uuid> ids;
  for (const EntityKey& key : keys) {
    tenants.push_back(key.tenant);
    ids.push_back(key.id);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadStandings, args));
  for (int i = 0; i < rows.size(); ++i) {
    standings_[keys[rows[i].Int(0) - 1]] =
        Standing{static_cast<ContactStatus>(rows[i].Int(1)), rows[i].OptUuid(2), rows[i].Int(3)};
  }
  return absl::OkStatus();
}

absl::Status ContactWork::RecallStandings(pg::Tx& tx, std::vector<EntityKey>& keys) {
  if (known_ == nullptr || keys.empty()) return absl::OkStatus();
  absl::flat_hash_set<std::string> tenants;
  for (const EntityKey& key : keys) tenants.insert(key.tenant);
  pg::Args args;
  args.AddArray(std::vector<std::string>(tenants.begin(), tenants.end()));
  CLM_ASSIGN_OR_RETURN(const pg::Result counts, tx.Exec(kLoadMergeCounts, args));
  for (int i = 0; i < counts.size(); ++i) {
    merge_counts_[std::string(counts[i].Text(0))] = counts[i].Int(1);
  }
  const auto found = known_->Find(keys, heads_, merge_counts_);
  std::vector<EntityKey> unknown;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (found[i]) {
      standings_[keys[i]] = found[i];
    } else {
      unknown.push_back(std::move(keys[i]));
    }
  }
  keys = std::move(unknown);
  return absl::OkStatus();
}

void ContactWork::LearnStandings(const journal::Offsets& heads) {
  std::vector<KnownStandings::Passage> passages;
  passages.reserve(heads_.size());
  absl::flat_hash_map<int, int64_t> after(heads.begin(), heads.end());
  for (const auto& [shard, before] : heads_) {
    const auto moved = after.find(shard);
    passages.push_back({shard, before, moved == after.end() ? before : moved->second});
  }
  std::vector<KnownStandings::Seen> seen;
  for (const auto& [key, standing] : standings_) {
    if (!contacts_.contains(key)) seen.emplace_back(key, standing);
  }
  for (const auto& [key, slot] : contacts_) {
    if (slot.dirty) seen.emplace_back(key, FindStanding(key));
  }
  known_->Learn(passages, seen, merge_counts_);
}

absl::Status ContactWork::LoadIdentifiers(pg::Tx& tx) {
  if (owners_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, types, values, hashes;
  absl::flat_hash_map<TextKey, std::vector<TenantIdentifier>> by_hash;
  for (const auto& [key, _] : owners_) {
    tenants.push_back(key.tenant);
    types.push_back(key.identifier.type);
    values.push_back(key.identifier.value);
    hashes.push_back(Hash(secret_, key.tenant, key.identifier));
    by_hash[{key.tenant, hashes.back()}].push_back(key);
  }
  pg::Args args;
  args.AddArray(tenants).AddArray(types).AddArray(values);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadIdentifiers, args));
  for (int i = 0; i < rows.size(); ++i) {
    OwnerSlot& slot =
        owners_[TenantIdentifier{std::string(rows[i].Text(0)),
                                 {std::string(rows[i].Text(1)), std::string(rows[i].Text(2))}}];
    slot.stored = true;
    slot.owner = rows[i].Uuid(3);
    slot.first_seen = rows[i].Time(4);
  }
  for (const auto& [key, spelling] : spellings_) {
    tenants.push_back(key.tenant);
    hashes.push_back(Hash(secret_, key.tenant, spelling));
    by_hash[{key.tenant, hashes.back()}].push_back(key);
  }
  pg::Args hash_args;
  hash_args.AddArray(tenants).AddBytesArray(hashes);
  CLM_ASSIGN_OR_RETURN(const pg::Result stones, tx.Exec(kLoadTombstones, hash_args));
  for (int i = 0; i < stones.size(); ++i) {
    for (const TenantIdentifier& key :
         by_hash[{std::string(stones[i].Text(0)), stones[i].Bytes(1)}]) {
      owners_[key].tombstone = true;
    }
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadHeld(pg::Tx& tx) {
  if (held_.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadHeld, pg::KeyArgs(held_)));
  for (int i = 0; i < rows.size(); ++i) {
    const auto row = rows[i];
    held_[EntityKey{std::string(row.Text(0)), row.Uuid(1)}].push_back(
        {{std::string(row.Text(2)), std::string(row.Text(3))}, row.Time(4)});
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadEvents(pg::Tx& tx) {
  if (events_.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadEvents, pg::KeyArgs(events_)));
  for (int i = 0; i < rows.size(); ++i) {
    events_[EntityKey{std::string(rows[i].Text(0)), rows[i].Uuid(1)}] = rows[i].Uuid(2);
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadCosts(pg::Tx& tx) {
  if (costs_.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadCosts, pg::KeyArgs(costs_)));
  for (int i = 0; i < rows.size(); ++i) {
    const auto row = rows[i];
    AcquisitionCost cost;
    cost.id = row.Uuid(1);
    cost.contact = row.OptUuid(2);
    cost.source = std::string(row.Text(3));
    cost.start_date = row.Day(4);
    cost.end_date = row.Day(5);
    cost.amount_minor = row.Int(6);
    cost.currency = std::string(row.Text(7));
    cost.create_time = row.Time(8);
    costs_[EntityKey{std::string(row.Text(0)), cost.id}] = std::move(cost);
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadTopics(pg::Tx& tx) {
  if (topics_.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadTopics, pg::KeyArgs(topics_)));
  for (int i = 0; i < rows.size(); ++i) {
    Topic topic;
    topic.id = std::string(rows[i].Text(1));
    topic.display_name = std::string(rows[i].Text(2));
    topic.channel = std::string(rows[i].Text(3));
    topic.opt_in = static_cast<OptIn>(rows[i].Int(4));
    topic.create_time = rows[i].Time(5);
    topic.purpose = std::string(rows[i].Text(6));
    topics_[TextKey{std::string(rows[i].Text(0)), topic.id}] = std::move(topic);
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadImportJobs(pg::Tx& tx) {
  for (auto& [key, job] : import_jobs_) {
    CLM_ASSIGN_OR_RETURN(job, LockImportJob(tx, key));
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadSurroundings(pg::Tx& tx) {
  if (surroundings_.empty()) return absl::OkStatus();
  const pg::Args args = pg::KeyArgs(surroundings_);
  const auto around = [this](const pg::Row& row) -> Surroundings& {
    return surroundings_[EntityKey{std::string(row.Text(0)), row.Uuid(1)}];
  };
  CLM_ASSIGN_OR_RETURN(const pg::Result consents, tx.Exec(kLoadConsents, args));
  for (int i = 0; i < consents.size(); ++i) {
    const auto row = consents[i];
    ConsentAct act;
    act.purpose = std::string(row.Text(2));
    act.channel = std::string(row.Text(3));
    act.state = static_cast<ConsentState>(row.Int(4));
    act.act_time = row.Time(5);
    act.expire_time = row.Time(6);
    act.legal_basis = std::string(row.Text(7));
    act.source = std::string(row.Text(8));
    act.text_version = std::string(row.Text(9));
    act.actor = std::string(row.Text(10));
    act.record_time = row.Time(11);
    around(row).consents.push_back(std::move(act));
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result subscriptions, tx.Exec(kLoadSubscriptions, args));
  for (int i = 0; i < subscriptions.size(); ++i) {
    const auto row = subscriptions[i];
    Subscription s;
    s.topic = std::string(row.Text(2));
    s.state = static_cast<SubscriptionState>(row.Int(3));
    s.change_time = row.Time(4);
    s.explicit_act = row.Bool(5);
    s.actor = std::string(row.Text(6));
    s.source = std::string(row.Text(7));
    around(row).subscriptions.push_back(std::move(s));
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result aliases, tx.Exec(kLoadAliases, args));
  for (int i = 0; i < aliases.size(); ++i) {
    around(aliases[i]).aliases.push_back(aliases[i].Uuid(2));
  }

  // Suppressions hang on addresses: those of all identifiers just read, on every channel they
  // serve.
  std::vector<std::string> s_tenants, s_channels, s_hashes;
  std::vector<EntityKey> s_keys;
  for (const auto& [key, surroundings] : surroundings_) {
    for (const auto& h : Identifiers(key)) {
      std::vector<std::string> channels;
      if (h.identifier.type == kEmailType) channels = {"email"};
      if (h.identifier.type == kPhoneType) channels = {"sms", "phone"};
      for (const auto& channel : channels) {
        s_tenants.push_back(key.tenant);
        s_channels.push_back(channel);
        s_hashes.push_back(Hash(secret_, key.tenant, h.identifier));
        s_keys.push_back(key);
      }
    }
  }
  if (s_tenants.empty()) return absl::OkStatus();
  pg::Args s_args;
  s_args.AddArray(s_tenants).AddArray(s_channels).AddBytesArray(s_hashes);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadSuppressions, s_args));
  for (int i = 0; i < rows.size(); ++i) {
    const auto row = rows[i];
    Suppression s;
    s.channel = std::string(row.Text(1));
    s.address = std::string(row.Text(3));
    s.reason = static_cast<SuppressionReason>(row.Int(4));
    s.create_time = row.Time(5);
    s.actor = std::string(row.Text(6));
    const std::string hash = row.Bytes(2);
    for (size_t k = 0; k < s_keys.size(); ++k) {
      if (s_hashes[k] == hash && s_channels[k] == s.channel && s_tenants[k] == row.Text(0)) {
        surroundings_[s_keys[k]].suppressions.push_back(s);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ContactWork::LoadSuppressions(pg::Tx& tx) {
  if (suppressions_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, channels, hashes;
  for (const auto& [key, _] : suppressions_) {
    const size_t slash = key.second.find('/');
    tenants.push_back(key.first);
    channels.push_back(key.second.substr(0, slash));
    hashes.push_back(key.second.substr(slash + 1));
  }
  pg::Args args;
  args.AddArray(tenants).AddArray(channels).AddBytesArray(hashes);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadSuppressions, args));
  for (int i = 0; i < rows.size(); ++i) {
    const auto row = rows[i];
    Suppression s;
    s.channel = std::string(row.Text(1));
    s.address = std::string(row.Text(3));
    s.reason = static_cast<SuppressionReason>(row.Int(4));
    s.create_time = row.Time(5);
    s.actor = std::string(row.Text(6));
    suppressions_[{std::string(row.Text(0)), absl::StrCat(s.channel, "/", row.Bytes(2))}] = s;
  }
  return absl::OkStatus();
}

// ---- Flushing.

absl::Status ContactWork::Flush(pg::Tx& tx) {
  for (const ImportProgress& progress : new_progress_) {
    CLM_RETURN_IF_ERROR(SaveImportProgress(tx, progress));
  }
  for (const ImportJob& job : changed_imports_) {
    CLM_RETURN_IF_ERROR(::clm::contact::SaveImportJob(tx, job));
  }
  CLM_RETURN_IF_ERROR(FlushContacts(tx));
  CLM_RETURN_IF_ERROR(FlushIdentifiers(tx));
  CLM_RETURN_IF_ERROR(FlushEvents(tx));
  CLM_RETURN_IF_ERROR(FlushViolations(tx));
  CLM_RETURN_IF_ERROR(FlushConsent(tx));
  // Merges move rows by contact: also those of mutations before them in this transaction.
  CLM_RETURN_IF_ERROR(FlushMerges(tx));
  return FlushRegistries(tx);
}

absl::Status ContactWork::FlushContacts(pg::Tx& tx) {
  struct Columns {
    std::vector<std::string> tenants, emails, phones, given, family, locales, zones, external,
        attributes, sources;
    std::vector<Uuid> ids;
    std::vector<int64_t> status, versions;
    std::vector<std::optional<Uuid>> merged;
    std::vector<absl::Time> created, updated;
  };
  // [0] new rows, [1] rows that are there.
  Columns columns[2];
  std::vector<const Contact*> sorted;
  for (const auto& [key, slot] : contacts_) {
    if (slot.dirty && slot.contact) sorted.push_back(&*slot.contact);
  }
  // Inserts in key order keep the index dense.
  std::sort(sorted.begin(), sorted.end(),
            [](const Contact* a, const Contact* b) { return a->key < b->key; });
  for (const Contact* contact : sorted) {
    Columns& c = columns[contacts_[contact->key].stored ? 1 : 0];
    c.tenants.push_back(contact->key.tenant);
    c.ids.push_back(contact->key.id);
    c.status.push_back(static_cast<int64_t>(contact->status));
    c.emails.push_back(contact->email);
    c.phones.push_back(contact->phone);
    c.given.push_back(contact->given_name);
    c.family.push_back(contact->family_name);
    c.locales.push_back(contact->locale);
    c.zones.push_back(contact->timezone);
    c.external.push_back(contact->external_ids.empty() ? "{}" : JsonOf(contact->external_ids));
    c.attributes.push_back(contact->attributes.empty() ? "{}" : ToJson(contact->attributes));
    c.sources.push_back(contact->source);
    c.merged.push_back(contact->merged_into);
    c.created.push_back(contact->create_time);
    c.updated.push_back(contact->update_time);
    c.versions.push_back(contact->version);
  }
  for (int stored = 0; stored < 2; ++stored) {
    const Columns& c = columns[stored];
    if (c.ids.empty()) continue;
    pg::Args args;
    args.AddArray(c.tenants).AddArray(c.ids).AddArray(c.status).AddArray(c.emails);
    args.AddArray(c.phones).AddArray(c.given).AddArray(c.family).AddArray(c.locales);
    args.AddArray(c.zones).AddArray(c.external).AddArray(c.attributes).AddArray(c.sources);
    args.AddArray(c.merged).AddArray(c.created).AddArray(c.updated).AddArray(c.versions);
    CLM_RETURN_IF_ERROR(tx.Exec(stored == 0 ? kInsertContacts : kUpdateContacts, args).status());
  }
  CLM_RETURN_IF_ERROR(FlushAttributeIndex(tx, sorted));

  if (attribute_changes_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, actors, sources, reasons, changes, former;
  std::vector<Uuid> ids;
  std::vector<int64_t> versions;
  std::vector<absl::Time> times;
  for (const auto& change : attribute_changes_) {
    tenants.push_back(change.key.tenant);
    ids.push_back(change.key.id);
    versions.push_back(change.version);
    times.push_back(change.set_time);
    actors.push_back(change.actor);
    sources.push_back(change.source);
    changes.push_back(change.changes);
    former.push_back(change.former);
    reasons.push_back(change.reason);
  }
  pg::Args args;
  args.AddArray(tenants).AddArray(ids).AddArray(versions).AddArray(times);
  args.AddArray(actors).AddArray(sources).AddArray(changes).AddArray(former).AddArray(reasons);
  return tx.Exec(kSaveAttributeChanges, args).status();
}

absl::Status ContactWork::FlushAttributeIndex(pg::Tx& tx,
                                              const std::vector<const Contact*>& sorted) {
  struct Rows {
    std::vector<std::string> tenants, attributes, values;
    std::vector<Uuid> contacts;
  };
  // [0] rows that go, [1] rows that come.
  Rows rows[2];
  // What of `some` is not in `others`.
  const auto add = [&](Rows& to, const EntityKey& key, const IndexedValues& some,
                       const IndexedValues& others) {
    for (const auto& [attribute, value] : some) {
      const auto other = others.find(attribute);
      if (other != others.end() && other->second == value) continue;
      to.tenants.push_back(key.tenant);
      to.attributes.push_back(attribute);
      to.values.push_back(value);
      to.contacts.push_back(key.id);
    }
  };
  for (const Contact* contact : sorted) {
    const IndexedValues& was = contacts_[contact->key].indexed;
    const IndexedValues is = IndexedValuesOf(Registry(contact->key.tenant), *contact);
    add(rows[0], contact->key, was, is);
    add(rows[1], contact->key, is, was);
  }
  for (int come = 0; come < 2; ++come) {
    const Rows& r = rows[come];
    if (r.contacts.empty()) continue;
    pg::Args args;
    args.AddArray(r.tenants).AddArray(r.attributes).AddArray(r.values).AddArray(r.contacts);
    CLM_RETURN_IF_ERROR(tx.Exec(come == 0 ? kRemoveIndexed : kSaveIndexed, args).status());
  }
  return absl::OkStatus();
}

absl::Status ContactWork::FlushIdentifiers(pg::Tx& tx) {
  std::vector<std::pair<TenantIdentifier, const OwnerSlot*>> dirty;
  for (const auto& [key, slot] : owners_) {
    if (slot.dirty) dirty.emplace_back(key, &slot);
  }
  if (dirty.empty()) return absl::OkStatus();
  std::sort(dirty.begin(), dirty.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first.tenant, a.first.identifier) <
           std::tie(b.first.tenant, b.first.identifier);
  });
  // A value that changes hands within the transaction is removed first and then saved.
  std::vector<std::string> old_tenants, old_types, old_values;
  std::vector<std::string> tenants, types, values;
  std::vector<Uuid> owners;
  std::vector<absl::Time> seen;
  for (const auto& [key, slot] : dirty) {
    if (slot->stored) {
      old_tenants.push_back(key.tenant);
      old_types.push_back(key.identifier.type);
      old_values.push_back(key.identifier.value);
    }
    if (!slot->owner) continue;
    tenants.push_back(key.tenant);
    types.push_back(key.identifier.type);
    values.push_back(key.identifier.value);
    owners.push_back(*slot->owner);
    seen.push_back(slot->first_seen);
  }
  if (!old_tenants.empty()) {
    pg::Args args;
    args.AddArray(old_tenants).AddArray(old_types).AddArray(old_values);
    CLM_RETURN_IF_ERROR(tx.Exec(kRemoveIdentifiers, args).status());
  }
  if (tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(tenants).AddArray(types).AddArray(values).AddArray(owners).AddArray(seen);
  return tx.Exec(kSaveIdentifiers, args).status();
}

absl::Status ContactWork::FlushEvents(pg::Tx& tx) {
  if (!new_events_.empty()) {
    std::vector<std::string> tenants, types, currencies, channels, sources, properties;
    std::vector<Uuid> contacts, ids;
    std::vector<absl::Time> occurred, received;
    std::vector<std::optional<int64_t>> amounts, quantities;
    for (const auto& [key, event] : new_events_) {
      tenants.push_back(key.tenant);
      contacts.push_back(key.id);
      occurred.push_back(event.occur_time);
      ids.push_back(event.event_id);
      types.push_back(event.type);
      received.push_back(event.receive_time);
      amounts.push_back(event.amount_minor);
      currencies.push_back(event.currency);
      quantities.push_back(event.quantity);
      channels.push_back(event.channel);
      sources.push_back(event.source);
      properties.push_back(event.properties.empty() ? "{}" : ToTaggedJson(event.properties));
    }
    pg::Args args;
    args.AddArray(tenants).AddArray(contacts).AddArray(occurred).AddArray(ids).AddArray(types);
    args.AddArray(received).AddArray(amounts).AddArray(currencies).AddArray(quantities);
    args.AddArray(channels).AddArray(sources).AddArray(properties);
    CLM_RETURN_IF_ERROR(tx.Exec(kInsertEvents, args).status());
  }
  for (const auto& [tenant, cost] : new_costs_) {
    pg::Args args;
    args.Add(tenant).Add(cost.id).Add(cost.contact).Add(cost.source).Add(cost.start_date);
    args.Add(cost.end_date).Add(cost.amount_minor).Add(cost.currency).Add(cost.create_time);
    CLM_RETURN_IF_ERROR(tx.Exec(kInsertCost, args).status());
  }
  return absl::OkStatus();
}

absl::Status ContactWork::FlushViolations(pg::Tx& tx) {
  if (new_violations_.empty()) return absl::OkStatus();
  // One row per key in a statement: the latest, and how many.
  std::map<std::tuple<EntityKey, int, Identifier, std::string>, StoredViolation> last;
  for (const auto& [key, stored] : new_violations_) {
    const IdentityViolation& v = stored.violation;
    auto [it, added] =
        last.try_emplace({key, static_cast<int>(v.kind), v.identifier, v.limit_type}, stored);
    if (added) continue;
    const int64_t before = it->second.event_count;
    it->second = stored;
    it->second.event_count += before;
  }
  std::vector<std::string> tenants, types, values, limits, profiles;
  std::vector<Uuid> contacts, events;
  std::vector<int64_t> kinds, counts;
  std::vector<absl::Time> times;
  for (const auto& [place, stored] : last) {
    const auto& [key, kind, identifier, limit_type] = place;
    tenants.push_back(key.tenant);
    contacts.push_back(key.id);
    kinds.push_back(kind);
    types.push_back(identifier.type);
    values.push_back(identifier.value);
    limits.push_back(limit_type);
    profiles.push_back(absl::StrJoin(
        stored.violation.profiles, " ",
        [](std::string* out, const Uuid& id) { absl::StrAppend(out, id.ToString()); }));
    events.push_back(stored.event_id);
    times.push_back(stored.find_time);
    counts.push_back(stored.event_count);
  }
  pg::Args args;
  args.AddArray(tenants).AddArray(contacts).AddArray(kinds).AddArray(types).AddArray(values);
  args.AddArray(limits).AddArray(profiles).AddArray(events).AddArray(times).AddArray(counts);
  return tx.Exec(kSaveViolations, args).status();
}

absl::Status ContactWork::FlushConsent(pg::Tx& tx) {
  if (!new_consents_.empty()) {
    std::vector<std::string> tenants, purposes, channels, bases, sources, texts, actors;
    std::vector<Uuid> contacts, ids;
    std::vector<int64_t> states;
    std::vector<absl::Time> acted, expires, recorded;
    for (const auto& [key, act] : new_consents_) {
      tenants.push_back(key.tenant);
      contacts.push_back(key.id);
      ids.push_back(Uuid::V7(act.record_time));
      purposes.push_back(act.purpose);
      channels.push_back(act.channel);
      states.push_back(static_cast<int64_t>(act.state));
      acted.push_back(act.act_time);
      expires.push_back(act.expire_time);
      bases.push_back(act.legal_basis);
      sources.push_back(act.source);
      texts.push_back(act.text_version);
      actors.push_back(act.actor);
      recorded.push_back(act.record_time);
    }
    pg::Args args;
    args.AddArray(tenants).AddArray(contacts).AddArray(ids).AddArray(purposes).AddArray(channels);
    args.AddArray(states).AddArray(acted).AddArray(expires).AddArray(bases).AddArray(sources);
    args.AddArray(texts).AddArray(actors).AddArray(recorded);
    CLM_RETURN_IF_ERROR(tx.Exec(kInsertConsents, args).status());
  }
  if (!new_subscriptions_.empty()) {
    // One row per key in a statement: the last state of the transaction.
    absl::flat_hash_map<std::pair<EntityKey, std::string>, const Subscription*> last;
    for (const auto& [key, s] : new_subscriptions_) last[{key, s.topic}] = &s;
    std::vector<std::string> tenants, topics, actors, sources;
    std::vector<Uuid> contacts;
    std::vector<int64_t> states;
    std::vector<absl::Time> changed;
    std::vector<bool> explicit_acts;
    for (const auto& [key, s] : last) {
      tenants.push_back(key.first.tenant);
      contacts.push_back(key.first.id);
      topics.push_back(s->topic);
      states.push_back(static_cast<int64_t>(s->state));
      changed.push_back(s->change_time);
      explicit_acts.push_back(s->explicit_act);
      actors.push_back(s->actor);
      sources.push_back(s->source);
    }
    pg::Args args;
    args.AddArray(tenants).AddArray(contacts).AddArray(topics).AddArray(states).AddArray(changed);
    args.AddArray(explicit_acts).AddArray(actors).AddArray(sources);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveSubscriptions, args).status());
  }
  if (!removed_suppressions_.empty()) {
    std::vector<std::string> tenants, channels, hashes;
    for (const auto& key : removed_suppressions_) {
      const size_t slash = key.second.find('/');
      tenants.push_back(key.first);
      channels.push_back(key.second.substr(0, slash));
      hashes.push_back(key.second.substr(slash + 1));
    }
    pg::Args args;
    args.AddArray(tenants).AddArray(channels).AddBytesArray(hashes);
    CLM_RETURN_IF_ERROR(tx.Exec(kRemoveSuppressions, args).status());
  }
  if (new_suppressions_.empty()) return absl::OkStatus();
  absl::flat_hash_map<SuppressionKey, const Suppression*> last;
  for (const auto& [tenant, s] : new_suppressions_) last[KeyOf(tenant, s.channel, s.address)] = &s;
  std::vector<std::string> tenants, channels, hashes, addresses, actors;
  std::vector<int64_t> reasons;
  std::vector<absl::Time> created;
  for (const auto& [key, s] : last) {
    tenants.push_back(key.first);
    channels.push_back(s->channel);
    hashes.push_back(key.second.substr(key.second.find('/') + 1));
    addresses.push_back(s->reason == SuppressionReason::kErased ? "" : s->address);
    reasons.push_back(static_cast<int64_t>(s->reason));
    created.push_back(s->create_time);
    actors.push_back(s->actor);
  }
  pg::Args args;
  args.AddArray(tenants).AddArray(channels).AddBytesArray(hashes).AddArray(addresses);
  args.AddArray(reasons).AddArray(created).AddArray(actors);
  return tx.Exec(kSaveSuppressions, args).status();
}

absl::Status ContactWork::FlushRegistries(pg::Tx& tx) {
  for (const auto& [tenant, topic] : new_topics_) {
    pg::Args args;
    args.Add(tenant).Add(topic.id).Add(topic.display_name).Add(topic.channel);
    args.Add(static_cast<int>(topic.opt_in)).Add(topic.create_time).Add(topic.purpose);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveTopic, args).status());
  }
  for (const auto& [tenant, stored] : new_policies_) {
    pg::Args args;
    args.Add(tenant).AddBytes(ToProto(stored.policy).SerializeAsString());
    args.Add(stored.update_time).Add(stored.version);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveIdentityPolicy, args).status());
  }
  for (const auto& [tenant, d, version] : new_definitions_) {
    pg::Args args;
    args.Add(tenant).Add(d.id).Add(static_cast<int>(d.type)).Add(d.display_name);
    args.AddArray(d.enum_values).Add(d.personal).Add(d.create_time).Add(version).Add(d.indexed);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveDefinition, args).status());
  }
  return absl::OkStatus();
}

// Last of all: mutations before the erase share its transaction, and what they stage, answer and
// record is as personal as what is stored.
absl::Status ContactWork::Sweep(pg::Tx& tx) {
  for (const Purged& purged : purged_) {
    const Contact* contact = FindContact(purged.key);
    const absl::Time at = contact == nullptr ? absl::UnixEpoch() : contact->update_time;
    std::vector<std::string> hashes;
    for (const auto& identifier : purged.identifiers) {
      hashes.push_back(Hash(secret_, purged.key.tenant, identifier));
      pg::Args named;
      named.Add(purged.key.tenant).Add(identifier.type).Add(identifier.value);
      CLM_RETURN_IF_ERROR(tx.Exec(kPurgeViolations, named).status());
    }
    pg::Args stones;
    stones.Add(purged.key.tenant).AddBytesArray(hashes).Add(at);
    CLM_RETURN_IF_ERROR(tx.Exec(kInsertTombstones, stones).status());
    pg::Args one;
    one.Add(purged.key.tenant).Add(purged.key.id);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kAliasesOf, one));
    std::vector<Uuid> ids;
    ids.reserve(rows.size() + 1);
    for (int i = 0; i < rows.size(); ++i) ids.push_back(rows[i].Uuid(0));
    pg::Args aliases;
    aliases.Add(purged.key.tenant).AddArray(ids);
    CLM_RETURN_IF_ERROR(tx.Exec(kPurgeAliases, aliases).status());
    ids.push_back(purged.key.id);
    pg::Args all;
    all.Add(purged.key.tenant).AddArray(ids).Add(purged.request_id);
    CLM_RETURN_IF_ERROR(tx.Exec(kPurgeSurroundings, all).status());
    if (!purged.anonymize_events) continue;
    CLM_RETURN_IF_ERROR(tx.Exec(kAnonymizeEvents, one).status());
    CLM_RETURN_IF_ERROR(AnonymizeJournal(tx, purged.key, ids));
    for (const Uuid& id : ids) rewritten_.set(ShardOf(purged.key.tenant, id));
  }
  return absl::OkStatus();
}

absl::Status ContactWork::FlushMerges(pg::Tx& tx) {
  for (const Merged& merged : merged_) {
    pg::Args move;
    move.Add(merged.primary.tenant).Add(merged.duplicate.id).Add(merged.primary.id);
    for (const pg::Statement* statement :
         {&kMoveEvents, &kMoveCosts, &kMoveIdentifiers, &kMoveAliases}) {
      CLM_RETURN_IF_ERROR(tx.Exec(*statement, move).status());
    }
    pg::Args gone;
    gone.Add(merged.primary.tenant).Add(merged.duplicate.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kMoveHistory, gone).status());
    pg::Args args;
    args.Add(merged.primary.tenant).Add(merged.merge_id).Add(merged.primary.id);
    args.Add(merged.duplicate.id).AddArray(merged.filled_fields).Add(merged.at).Add(merged.actor);
    CLM_RETURN_IF_ERROR(tx.Exec(kInsertMerge, args).status());
    pg::Args tenant;
    tenant.Add(merged.primary.tenant);
    CLM_RETURN_IF_ERROR(tx.Exec(kCountMerge, tenant).status());
  }
  return absl::OkStatus();
}

absl::Status ContactWork::Committed(const journal::Offsets& heads) {
  // First, as the next transaction of the shards is on its way.
  if (known_ != nullptr) LearnStandings(heads);
  if (observer_ == nullptr) return absl::OkStatus();
  for (const auto& [key, slot] : contacts_) {
    if (!slot.dirty) continue;
    if (slot.stored) {
      touched_.insert(key);
    } else {
      // Of whom there was nothing to read before, nothing can be cached.
      touched_.erase(key);
    }
  }
  std::vector<EntityKey> merged;
  for (const Merged& one : merged_) {
    merged.push_back(one.duplicate);
    touched_.erase(one.duplicate);
  }
  if (touched_.empty() && merged.empty()) return absl::OkStatus();
  return observer_->ContactsCommitted({touched_.begin(), touched_.end()}, merged, heads);
}

std::vector<const pg::Statement*> ContactWorkStatements() {
  return {&kLoadRegistries,     &kLoadContacts,
          &kLoadStandings,      &kLoadIdentifiers,
          &kLoadTombstones,     &kLoadEvents,
          &kLoadCosts,          &kLoadTopics,
          &kLoadConsents,       &kLoadSubscriptions,
          &kLoadHeld,           &kLoadAliases,
          &kLoadSuppressions,   &kInsertContacts,
          &kUpdateContacts,     &kRemoveIdentifiers,
          &kSaveIdentifiers,    &kSaveAttributeChanges,
          &kInsertEvents,       &kInsertConsents,
          &kSaveSubscriptions,  &kSaveSuppressions,
          &kRemoveSuppressions, &kSaveTopic,
          &kSaveDefinition,     &kInsertCost,
          &kInsertTombstones,   &kPurgeSurroundings,
          &kPurgeViolations,    &kSaveViolations,
          &kAliasesOf,          &kPurgeAliases,
          &kAnonymizeEvents,    &kRecordedBehavior,
          &kJournalEvents,      &kRewriteJournal,
          &kMoveEvents,         &kMoveCosts,
          &kMoveIdentifiers,    &kMoveAliases,
          &kMoveHistory,        &kInsertMerge,
          &kSaveIdentityPolicy, &kLoadIdentityPolicies,
          &kRemoveIndexed,      &kSaveIndexed,
          &kLoadMergeCounts,    &kCountMerge};
}

}  // namespace clm::contact
