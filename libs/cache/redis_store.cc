#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/cache/store.h"

namespace clm::cache {
namespace {

// KEYS: the entry's key, the token's key. ARGV[1]: the field, empty for a plain key; ARGV[2]: now.
// Versions and times are compared byte by byte: Lua's numbers end at 2^53, and its string order
// depends on the server's locale.
constexpr char kPrelude[] = R"lua(
local field, now = ARGV[1], ARGV[2]
local function read()
  if field == '' then return redis.call('GET', KEYS[1]) end
  return redis.call('HGET', KEYS[1], field)
end
local function save(bytes, ttl)
  if field == '' then
    redis.call('SET', KEYS[1], bytes, 'PX', ttl)
    return
  end
  redis.call('HSET', KEYS[1], field, bytes)
  if redis.call('PTTL', KEYS[1]) < tonumber(ttl) then redis.call('PEXPIRE', KEYS[1], ttl) end
end
local function compare(a, i, b, j)
  for k = 0, 7 do
    local x, y = a:byte(i + k), b:byte(j + k)
    if x ~= y then return x < y and -1 or 1 end
  end
  return 0
end
local function live(bytes)
  return bytes and #bytes >= 25 and compare(bytes, 10, now, 1) > 0
end
local function tombstone(bytes) return bytes:byte(9) == 1 end
)lua";

// ARGV[3]: token; ARGV[4]: its time; ARGV[5]: the bytes seen that are of no use.
constexpr char kLease[] = R"lua(
local bytes = read()
if live(bytes) and not tombstone(bytes) and bytes ~= ARGV[5] then return {bytes, 0} end
if redis.call('SET', KEYS[2], ARGV[3], 'NX', 'PX', ARGV[4]) then return {bytes, 1} end
return {bytes, 0}
)lua";

// ARGV[3]: token; ARGV[4]: the new bytes; ARGV[5]: ttl; ARGV[6]: bytes that may be replaced.
constexpr char kFill[] = R"lua(
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[2])
local bytes = read()
if live(bytes) and bytes ~= ARGV[6] and compare(bytes, 1, ARGV[4], 1) > 0 then return 0 end
save(ARGV[4], ARGV[5])
return 1
)lua";

// ARGV[3]: the new bytes; ARGV[4]: ttl.
constexpr char kWrite[] = R"lua(
redis.call('DEL', KEYS[2])
local bytes = read()
if live(bytes) then
  local order = compare(bytes, 1, ARGV[3], 1)
  if order > 0 or (order == 0 and tombstone(ARGV[3])) then return 0 end
end
save(ARGV[3], ARGV[4])
return 1
)lua";

absl::Status Odd() { return error::Internal("cache: an answer of an unexpected type"); }

std::vector<std::string> Keys(const Slot& slot) {
  return {slot.key, slot.field.empty() ? absl::StrCat(slot.key, ":l")
                                       : absl::StrCat(slot.key, ":l:", slot.field)};
}

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

  void Write(const Slot& slot, const std::string& bytes, absl::Duration ttl, absl::Time now,
             Done<bool> done) override {
    client_.EvalAsync(write_, Keys(slot), {slot.field, Micros(now), bytes, Millis(ttl)},
                      AsBool(std::move(done)));
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
