#include "services/loyalty/reward_work.h"

#include <utility>

#include "libs/base/status_macros.h"
#include "services/loyalty/reward_proto.h"
#include "services/loyalty/reward_row.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kLoadRewards{"reward.load", "SELECT w.place, " CLM_REWARD_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::text[]) AS id, generate_subscripts($1::text[], 1) AS place) AS w
  JOIN reward r ON r.tenant_id = w.tenant_id AND r.program_id = w.program_id AND r.id = w.id)sql"};

constexpr pg::Statement kLoadRedemptions{"reward.load_redemptions",
                                         "SELECT w.place, " CLM_REDEMPTION_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::text[]) AS reward_id, unnest($4::uuid[]) AS id,
               generate_subscripts($1::text[], 1) AS place) AS w
  JOIN reward_redemption d ON d.tenant_id = w.tenant_id AND d.program_id = w.program_id
    AND d.reward_id = w.reward_id AND d.id = w.id
  )sql" CLM_REDEMPTION_DETAILS};

constexpr pg::Statement kLoadRewardCounts{"reward.load_counts", R"sql(
  SELECT w.place, p.id, n.redeemed
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::text[]) AS reward_id, unnest($4::uuid[]) AS contact_id,
               generate_subscripts($1::text[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT coalesce((SELECT a.merged_into FROM contact_alias a
    WHERE a.tenant_id = w.tenant_id AND a.contact_id = w.contact_id), w.contact_id) AS id) p
  CROSS JOIN LATERAL (SELECT count(*) AS redeemed FROM reward_redemption d
    WHERE d.tenant_id = w.tenant_id AND d.program_id = w.program_id
      AND d.reward_id = w.reward_id AND d.state = 1
      AND d.contact_id = ANY (p.id || ARRAY(SELECT x.contact_id FROM contact_alias x
        WHERE x.tenant_id = w.tenant_id AND x.merged_into = p.id))) n)sql"};

constexpr pg::Statement kLoadRewardExternals{"reward.load_externals", R"sql(
  SELECT w.place, k.reward_id, k.redemption_id, k.fingerprint, k.response, d.contact_id,
         coalesce(d.wallet_id, ''), coalesce(d.posting, 0)
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::text[]) AS source, unnest($4::text[]) AS external_id,
               generate_subscripts($1::text[], 1) AS place) AS w
  JOIN reward_key k ON k.tenant_id = w.tenant_id AND k.program_id = w.program_id
    AND k.source = w.source AND k.external_id = w.external_id
  LEFT JOIN reward_redemption d ON d.tenant_id = k.tenant_id AND d.program_id = k.program_id
    AND d.reward_id = k.reward_id AND d.id = k.redemption_id)sql"};

constexpr pg::Statement kSaveRewards{"reward.save", R"sql(
  INSERT INTO reward (tenant_id, program_id, id, body, archived, redeemed, create_time,
                      update_time, version)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::bytea[]),
         unnest($5::boolean[]), unnest($6::bigint[]), unnest($7::timestamptz[]),
         unnest($8::timestamptz[]), unnest($9::bigint[])
  ON CONFLICT (tenant_id, program_id, id) DO UPDATE SET
    (body, archived, redeemed, update_time, version) =
    (excluded.body, excluded.archived, excluded.redeemed, excluded.update_time,
     excluded.version))sql"};

// Whose it is is written once: an erasure, which does not hold the reward's shard, may have taken
// it away since it was read.
constexpr pg::Statement kSaveRedemptions{"reward.save_redemptions", R"sql(
  INSERT INTO reward_redemption (tenant_id, program_id, reward_id, id, contact_id, state, cost,
                                 wallet_id, posting, coupon_id, source, external_id, create_time,
                                 cancel_time, version)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::uuid[]),
         unnest($5::uuid[]), unnest($6::bigint[]), unnest($7::bigint[]), unnest($8::text[]),
         unnest($9::bigint[]), unnest($10::uuid[]), unnest($11::text[]), unnest($12::text[]),
         unnest($13::timestamptz[]), unnest($14::timestamptz[]), unnest($15::bigint[])
  ON CONFLICT (tenant_id, program_id, reward_id, id) DO UPDATE SET
    (state, cancel_time, version) = (excluded.state, excluded.cancel_time, excluded.version))sql"};

constexpr pg::Statement kInsertRewardExternals{"reward.insert_externals", R"sql(
  INSERT INTO reward_key (tenant_id, program_id, source, external_id, reward_id, redemption_id,
                          fingerprint, response)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::text[]), unnest($6::uuid[]), unnest($7::bytea[]), unnest($8::bytea[]))sql"};

constexpr pg::Statement kForgetRewards{"reward.forget", R"sql(
  UPDATE reward_redemption SET contact_id = NULL
  WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid || ARRAY(
    SELECT x.contact_id FROM contact_alias x
    WHERE x.tenant_id = $1::text AND x.merged_into = $2::uuid)))sql"};

template <class Map, class Key>
auto FindRow(const Map& map, const Key& key) -> decltype(&*map.begin()->second.row) {
  const auto it = map.find(key);
  return it == map.end() || !it->second.row ? nullptr : &*it->second.row;
}

int64_t Counted(const StoredRedemption* redemption) {
  return redemption != nullptr && redemption->state == RedemptionState::kRedeemed ? 1 : 0;
}

}  // namespace

const StoredReward* RewardWork::FindReward(const RewardKey& key) const {
  return FindRow(rewards_, key);
}

const StoredRedemption* RewardWork::FindRedemption(const RedemptionKey& key) const {
  return FindRow(redemptions_, key);
}

const RewardExternalUse* RewardWork::FindExternal(const RewardExternalKey& key) const {
  return FindRow(externals_, key);
}

// ---- Staging.

template <class Map, class Key, class Value>
void RewardWork::Put(Map& map, const Key& key, Value value) {
  auto before = std::exchange(map[key], std::move(value));
  undo_.emplace_back(
      [&map, key, before = std::move(before)]() mutable { map[key] = std::move(before); });
}

void RewardWork::SaveReward(const StoredReward& reward) {
  Slot<StoredReward> slot;
  slot.dirty = true;
  slot.row = reward;
  Put(rewards_, reward.key, std::move(slot));
}

void RewardWork::SaveRedemption(const StoredRedemption& redemption) {
  const RewardKey& key = redemption.key.reward;
  const int64_t more = Counted(&redemption) - Counted(FindRedemption(redemption.key));
  StoredReward reward = *FindReward(key);
  reward.redeemed += more;
  SaveReward(reward);

  // Others of the transaction may be about the same person.
  for (auto at = counts_.lower_bound({key, Uuid()}); at != counts_.end(); ++at) {
    if (at->first.first != key) break;
    if (at->second.person != redemption.person) continue;
    Count count = at->second;
    count.redeemed += more;
    Put(counts_, at->first, count);
  }

  Slot<StoredRedemption> slot;
  slot.dirty = true;
  slot.row = redemption;
  Put(redemptions_, redemption.key, std::move(slot));
}

void RewardWork::SaveExternal(const RewardExternalKey& key, RewardExternalUse use) {
  Slot<RewardExternalUse> slot;
  slot.dirty = true;
  slot.row = std::move(use);
  Put(externals_, key, std::move(slot));
}

// ---- journal::Work.

void RewardWork::Locked(const absl::flat_hash_map<int, int64_t>& heads) {
  points_.Locked(heads);
  coupons_.Locked(heads);
}

void RewardWork::Keep() {
  points_.Keep();
  coupons_.Keep();
  undo_.clear();
}

void RewardWork::Discard() {
  points_.Discard();
  coupons_.Discard();
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

absl::Status RewardWork::Load(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(points_.Load(tx));
  CLM_RETURN_IF_ERROR(coupons_.Load(tx));
  CLM_RETURN_IF_ERROR(LoadRewards(tx));
  CLM_RETURN_IF_ERROR(LoadRedemptions(tx));
  CLM_RETURN_IF_ERROR(LoadCounts(tx));
  return LoadExternals(tx);
}

absl::Status RewardWork::Flush(pg::Tx& tx) {
  Discard();
  CLM_RETURN_IF_ERROR(points_.Flush(tx));
  CLM_RETURN_IF_ERROR(coupons_.Flush(tx));
  CLM_RETURN_IF_ERROR(FlushRewards(tx));
  CLM_RETURN_IF_ERROR(FlushRedemptions(tx));
  return FlushExternals(tx);
}

absl::Status RewardWork::Sweep(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(points_.Sweep(tx));
  return coupons_.Sweep(tx);
}

absl::Status RewardWork::Committed(const journal::Offsets& heads) {
  CLM_RETURN_IF_ERROR(points_.Committed(heads));
  return coupons_.Committed(heads);
}

// ---- What is read.

absl::Status RewardWork::LoadRewards(pg::Tx& tx) {
  if (rewards_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs, ids;
  for (const auto& [key, _] : rewards_) {
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    ids.push_back(key.id);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadRewards, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(StoredReward reward, ReadStoredReward(rows[i], 1));
    const RewardKey key = reward.key;
    rewards_[key].row = std::move(reward);
  }
  return absl::OkStatus();
}

absl::Status RewardWork::LoadRedemptions(pg::Tx& tx) {
  if (redemptions_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs, rewards;
  std::vector<Uuid> ids;
  for (const auto& [key, _] : redemptions_) {
    tenants.push_back(key.reward.tenant);
    programs.push_back(key.reward.program);
    rewards.push_back(key.reward.id);
    ids.push_back(key.id);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(rewards));
  args.AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadRedemptions, args));
  for (int i = 0; i < rows.size(); ++i) {
    StoredRedemption redemption = ReadRedemption(rows[i], 1);
    const RedemptionKey key = redemption.key;
    redemptions_[key].row = std::move(redemption);
  }
  return absl::OkStatus();
}

absl::Status RewardWork::LoadCounts(pg::Tx& tx) {
  if (counts_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs, rewards;
  std::vector<Uuid> contacts;
  std::vector<Count*> places;
  for (auto& [key, count] : counts_) {
    tenants.push_back(key.first.tenant);
    programs.push_back(key.first.program);
    rewards.push_back(key.first.id);
    contacts.push_back(key.second);
    places.push_back(&count);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(rewards));
  args.AddArray(std::move(contacts));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadRewardCounts, args));
  for (int i = 0; i < rows.size(); ++i) {
    *places[rows[i].Int(0) - 1] = {rows[i].Uuid(1), rows[i].Int(2)};
  }
  return absl::OkStatus();
}

absl::Status RewardWork::LoadExternals(pg::Tx& tx) {
  if (externals_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs, sources, ids;
  std::vector<std::pair<const RewardExternalKey*, Slot<RewardExternalUse>*>> places;
  for (auto& [key, slot] : externals_) {
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    sources.push_back(key.source);
    ids.push_back(key.external_id);
    places.emplace_back(&key, &slot);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(sources));
  args.AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadRewardExternals, args));
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    const auto& [key, slot] = places[row.Int(0) - 1];
    RewardExternalUse use;
    use.redemption = {{key->tenant, key->program, std::string(row.Text(1))}, row.Uuid(2)};
    use.fingerprint = row.Bytes(3);
    use.response = row.Bytes(4);
    use.contact = row.OptUuid(5);
    use.wallet = std::string(row.Text(6));
    use.posting = row.Int(7);
    slot->row = std::move(use);
  }
  return absl::OkStatus();
}

// ---- What is written.

absl::Status RewardWork::FlushRewards(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, ids, bodies;
  std::vector<bool> archived;
  std::vector<int64_t> redeemed, versions;
  std::vector<absl::Time> created, updated;
  for (const auto& [key, slot] : rewards_) {
    if (!slot.dirty) continue;
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    ids.push_back(key.id);
    bodies.push_back(BodyOf(*slot.row));
    archived.push_back(slot.row->terms.archived);
    redeemed.push_back(slot.row->redeemed);
    created.push_back(slot.row->create_time);
    updated.push_back(slot.row->update_time);
    versions.push_back(slot.row->version);
  }
  if (ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(ids));
  args.AddBytesArray(std::move(bodies)).AddArray(std::move(archived)).AddArray(std::move(redeemed));
  args.AddArray(std::move(created)).AddArray(std::move(updated)).AddArray(std::move(versions));
  return tx.Exec(kSaveRewards, args).status();
}

absl::Status RewardWork::FlushRedemptions(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, rewards, wallets, sources, externals;
  std::vector<Uuid> ids;
  std::vector<std::optional<Uuid>> contacts, coupons;
  std::vector<int64_t> states, costs, postings, versions;
  std::vector<absl::Time> created;
  std::vector<std::optional<absl::Time>> cancelled;
  for (const auto& [key, slot] : redemptions_) {
    if (!slot.dirty) continue;
    const StoredRedemption& redemption = *slot.row;
    tenants.push_back(key.reward.tenant);
    programs.push_back(key.reward.program);
    rewards.push_back(key.reward.id);
    ids.push_back(key.id);
    contacts.push_back(redemption.contact);
    states.push_back(static_cast<int64_t>(redemption.state));
    costs.push_back(redemption.cost);
    wallets.push_back(redemption.wallet);
    postings.push_back(redemption.posting);
    coupons.push_back(redemption.coupon);
    sources.push_back(redemption.source);
    externals.push_back(redemption.external_id);
    created.push_back(redemption.create_time);
    cancelled.push_back(redemption.cancel_time);
    versions.push_back(redemption.version);
  }
  if (ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(rewards));
  args.AddArray(std::move(ids)).AddArray(std::move(contacts)).AddArray(std::move(states));
  args.AddArray(std::move(costs)).AddArray(std::move(wallets)).AddArray(std::move(postings));
  args.AddArray(std::move(coupons)).AddArray(std::move(sources)).AddArray(std::move(externals));
  args.AddArray(std::move(created)).AddArray(std::move(cancelled)).AddArray(std::move(versions));
  return tx.Exec(kSaveRedemptions, args).status();
}

absl::Status RewardWork::FlushExternals(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, sources, ids, rewards, fingerprints, responses;
  std::vector<Uuid> redemptions;
  for (const auto& [key, slot] : externals_) {
    if (!slot.dirty) continue;
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    sources.push_back(key.source);
    ids.push_back(key.external_id);
    rewards.push_back(slot.row->redemption.reward.id);
    redemptions.push_back(slot.row->redemption.id);
    fingerprints.push_back(slot.row->fingerprint);
    responses.push_back(slot.row->response);
  }
  if (tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(sources));
  args.AddArray(std::move(ids)).AddArray(std::move(rewards)).AddArray(std::move(redemptions));
  args.AddBytesArray(std::move(fingerprints)).AddBytesArray(std::move(responses));
  return tx.Exec(kInsertRewardExternals, args).status();
}

absl::Status ForgetInRewards(pg::Tx& tx, const EntityKey& contact) {
  pg::Args args;
  args.Add(contact.tenant).Add(contact.id);
  return tx.Exec(kForgetRewards, args).status();
}

std::vector<const pg::Statement*> RewardWorkStatements() {
  return {&kLoadRewards, &kLoadRedemptions, &kLoadRewardCounts,      &kLoadRewardExternals,
          &kSaveRewards, &kSaveRedemptions, &kInsertRewardExternals, &kForgetRewards};
}

}  // namespace clm::loyalty
