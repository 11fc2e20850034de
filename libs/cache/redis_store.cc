#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/cache/store.h"

namespace clm::cache {
namespace {

// Versions and times are compared byte by byte: Lua's numbers end at 2^53, and its string order
// depends on the server's locale. The field is empty for a plain key.
constexpr char kPrelude[] = R"lua(
local function read(key, field)
  if field == '' then return redis.call('GET', key) end
  return redis.call('HGET', key, field)
end
local function save(key, field, bytes, ttl)
  if field == '' then
    redis.call('SET', key, bytes, 'PX', ttl)
    return
  end
  redis.call('HSET', key, field, bytes)
  if redis.call('PTTL', key) < tonumber(ttl) then redis.call('PEXPIRE', key, ttl) end
end
local function compare(a, i, b, j)
  for k = 0, 7 do
    local x, y = a:byte(i + k), b:byte(j + k)
    if x ~= y then return x < y and -1 or 1 end
  end
  return 0
end
local function live(bytes, now)
  return bytes and #bytes >= 25 and compare(bytes, 10, now, 1) > 0
end
local function tombstone(bytes) return bytes:byte(9) == 1 end
)lua";

// KEYS: the entry's key, the token's key. ARGV: the field, now, the token, its time, the bytes seen
// that are of no use.
constexpr char kLease[] = R"lua(
local bytes = read(KEYS[1], ARGV[1])
if live(bytes, ARGV[2]) and not tombstone(bytes) and bytes ~= ARGV[5] then return {bytes, 0} end
if redis.call('SET', KEYS[2], ARGV[3], 'NX', 'PX', ARGV[4]) then return {bytes, 1} end
return {bytes, 0}
)lua";

// KEYS: as above. ARGV: the field, now, the token, the new bytes, their ttl, bytes that may be
// replaced.
constexpr char kFill[] = R"lua(
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[2])
local bytes = read(KEYS[1], ARGV[1])
if live(bytes, ARGV[2]) and bytes ~= ARGV[6] and compare(bytes, 1, ARGV[4], 1) > 0 then return 0 end
save(KEYS[1], ARGV[1], ARGV[4], ARGV[5])
return 1
)lua";

// Of several slots. KEYS: the entries' keys, then the tokens' keys. ARGV: now, whether all slots
// only go over a live payload, then of each slot the field, the new bytes, their ttl and whether
// they only go over one. Mostly nobody has looked at who changes: one command finds that out.
constexpr char kWrite[] = R"lua(
local now, slots, written = ARGV[1], #KEYS / 2, 0
redis.call('DEL', unpack(KEYS, slots + 1))
if ARGV[2] == '1' and redis.call('EXISTS', unpack(KEYS, 1, slots)) == 0 then return 0 end
for i = 1, slots do
  local key, field, new, ttl = KEYS[i], ARGV[4 * i - 1], ARGV[4 * i], ARGV[4 * i + 1]
  local bytes = read(key, field)
  local order = -1
  if live(bytes, now) then order = compare(bytes, 1, new, 1) end
  local of_use = ARGV[4 * i + 2] == '' or (live(bytes, now) and not tombstone(bytes))
  if of_use and (order < 0 or (order == 0 and not tombstone(new))) then
    save(key, field, new, ttl)
    written = written + 1
  end
end
return written
)lua";

absl::Status Odd() { return error::Internal("cache: an answer of an unexpected type"); }

std::string TokenKey(const Slot& slot) {
  return slot.field.empty() ? absl::StrCat(slot.key, ":l")
                            : absl::StrCat(slot.key, ":l:", slot.field);
}

std::vector<std::string> Keys(const Slot& slot) { return {slot.key, TokenKey(slot)}; }

std::string Millis(absl::Duration duration) {
  return absl::StrCat(absl::ToInt64Milliseconds(duration));
}

std::string Micros(absl::Time time) { return BigEndian(absl::ToUnixMicros(time)); }

redis::Client::Callback AsBool(Store::Done<bool> done) {
  return [done = std::move(done)](absl::StatusOr<redis::Reply> reply) mutable {
    if (!reply.ok()) return done(reply.status());
    if (reply->AsInteger() == nullptr) return done(Odd());
    done(*reply->AsInteger() == 1);
  };
}

class RedisStore final : public Store {
 public:
  explicit RedisStore(redis::Client* client)
      : client_(*client),
        lease_(absl::StrCat(kPrelude, kLease)),
        fill_(absl::StrCat(kPrelude, kFill)),
        write_(absl::StrCat(kPrelude, kWrite)) {}

  void Get(const std::string& key, Done<Bytes> done) override {
    client_.CommandAsync({"GET", key},
                         [done = std::move(done)](absl::StatusOr<redis::Reply> reply) mutable {
                           if (!reply.ok()) return done(reply.status());
                           if (reply->IsNil()) return done(Bytes());
                           if (reply->AsString() == nullptr) return done(Odd());
                           done(Bytes(std::move(*reply->AsString())));
                         });
  }

  void GetAll(const std::string& key, Done<Fields> done) override {
    client_.CommandAsync({"HGETALL", key},
                         [done = std::move(done)](absl::StatusOr<redis::Reply> reply) mutable {
                           if (!reply.ok()) return done(reply.status());
                           redis::Reply::Array* array = reply->AsArray();
                           if (array == nullptr || array->size() % 2 != 0) return done(Odd());
                           Fields fields;
                           for (size_t i = 0; i < array->size(); i += 2) {
                             std::string* name = (*array)[i].AsString();
                             std::string* bytes = (*array)[i + 1].AsString();
                             if (name == nullptr || bytes == nullptr) return done(Odd());
                             fields.emplace_back(std::move(*name), std::move(*bytes));
                           }
                           done(std::move(fields));
                         });
  }

  void GetSome(const std::string& key, const std::vector<std::string>& fields,
               Done<Fields> done) override {
    redis::Args args = {"HMGET", key};
    args.insert(args.end(), fields.begin(), fields.end());
    client_.CommandAsync(std::move(args), [fields, done = std::move(done)](
                                              absl::StatusOr<redis::Reply> reply) mutable {
      if (!reply.ok()) return done(reply.status());
      redis::Reply::Array* array = reply->AsArray();
      if (array == nullptr || array->size() != fields.size()) return done(Odd());
      Fields found;
      for (size_t i = 0; i < array->size(); ++i) {
        if ((*array)[i].IsNil()) continue;
        std::string* bytes = (*array)[i].AsString();
        if (bytes == nullptr) return done(Odd());
        found.emplace_back(std::move(fields[i]), std::move(*bytes));
      }
      done(std::move(found));
    });
  }

  void Lease(const Slot& slot, const std::string& token, const std::string& seen, absl::Time now,
             Done<Leased> done) override {
    client_.EvalAsync(lease_, Keys(slot),
                      {slot.field, Micros(now), token, Millis(kLeaseTime), seen},
                      [done = std::move(done)](absl::StatusOr<redis::Reply> reply) mutable {
                        if (!reply.ok()) return done(reply.status());
                        redis::Reply::Array* array = reply->AsArray();
                        if (array == nullptr || array->size() != 2) return done(Odd());
                        const int64_t* granted = (*array)[1].AsInteger();
                        if (granted == nullptr) return done(Odd());
                        Leased leased{.granted = *granted == 1};
                        std::string* bytes = (*array)[0].AsString();
                        if (bytes != nullptr) leased.bytes = std::move(*bytes);
                        done(std::move(leased));
                      });
  }

  void Fill(const Slot& slot, const std::string& token, const std::string& bytes,
            const std::string& replace, absl::Duration ttl, absl::Time now,
            Done<bool> done) override {
    client_.EvalAsync(fill_, Keys(slot),
                      {slot.field, Micros(now), token, bytes, Millis(ttl), replace},
                      AsBool(std::move(done)));
  }

  void Write(std::vector<Change> changes, absl::Time now, Done<int64_t> done) override {
    std::vector<std::string> keys, args;
    keys.reserve(2 * changes.size());
    args.reserve(2 + 4 * changes.size());
    for (const Change& change : changes) keys.push_back(change.slot.key);
    for (const Change& change : changes) keys.push_back(TokenKey(change.slot));
    args.push_back(Micros(now));
    const bool all_over = std::all_of(changes.begin(), changes.end(),
                                      [](const Change& change) { return change.only_over; });
    args.push_back(all_over ? "1" : "");
    for (Change& change : changes) {
      args.push_back(std::move(change.slot.field));
      args.push_back(std::move(change.bytes));
      args.push_back(Millis(change.ttl));
      args.push_back(change.only_over ? "1" : "");
    }
    client_.EvalAsync(write_, std::move(keys), std::move(args),
                      [done = std::move(done)](absl::StatusOr<redis::Reply> reply) mutable {
                        if (!reply.ok()) return done(reply.status());
                        if (reply->AsInteger() == nullptr) return done(Odd());
                        done(*reply->AsInteger());
                      });
  }

 private:
  redis::Client& client_;
  const redis::Script lease_;
  const redis::Script fill_;
  const redis::Script write_;
};

}  // namespace

std::unique_ptr<Store> NewRedisStore(redis::Client* client) {
  return std::make_unique<RedisStore>(client);
}

}  // namespace clm::cache
