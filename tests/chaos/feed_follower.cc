#include "tests/chaos/feed_follower.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "clm/contact/v1/contact_event.pb.h"

namespace clm::chaos {

FeedFollower::FeedFollower(Caller* caller) : caller_(caller), thread_([this] { Follow(); }) {}

FeedFollower::~FeedFollower() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  thread_.join();
}

void FeedFollower::Follow() {
  for (;;) {
    event::v1::FetchRequest request;
    request.set_source("contact");
    request.set_max_records(64);
    request.set_wait_millis(200);
    {
      absl::MutexLock lock(&mu_);
      if (stop_) return;
      for (int shard = 0; shard < kShards; ++shard) {
        auto* position = request.add_positions();
        position->set_shard(shard);
        position->set_after_offset(seen_[shard].size());
      }
    }
    const auto response = caller_->Call(&event::v1::EventFeedService::Stub::Fetch, request);
    if (!response.ok()) {
      ADD_FAILURE() << response.status();
      return;
    }
    absl::MutexLock lock(&mu_);
    for (const auto& shard : response->shards()) {
      auto& seen = seen_[shard.shard()];
      for (const auto& record : shard.records()) {
        EXPECT_EQ(record.offset(), static_cast<int64_t>(seen.size()) + 1);
        EXPECT_TRUE(seen.emplace_back().ParseFromString(record.event()));
      }
    }
  }
}

std::string FeedFollower::Text() const {
  absl::MutexLock lock(&mu_);
  std::string text;
  for (int shard = 0; shard < kShards; ++shard) {
    for (size_t i = 0; i < seen_[shard].size(); ++i) {
      absl::StrAppend(&text, text.empty() ? "" : "\n", shard, " ", i + 1, " ",
                      seen_[shard][i].id());
    }
  }
  return text;
}

void FeedFollower::ExpectWholeJournal(const clm::testing::Database& database) {
  const std::string journal = Ask(database.admin_dsn,
                                  "SELECT format('%s %s %s', shard, off, event_id) FROM journal "
                                  "ORDER BY shard, off");
  if (!Eventually([&] { return Text().size() >= journal.size(); })) {
    ADD_FAILURE() << "the feed does not reach the end of the journal";
  }
  EXPECT_EQ(Text(), journal);

  absl::MutexLock lock(&mu_);
  std::map<std::string, int64_t> versions;
  for (const auto& seen : seen_) {
    for (const event::v1::Event& event : seen) {
      int64_t& version = versions[event.tenant() + " " + event.subject()];
      // Behaviour does not change the contact, and tells the version it was recorded at.
      const bool change = event.type() == contact::v1::ContactChanged::descriptor()->full_name();
      EXPECT_EQ(event.subject_version(), version + (change ? 1 : 0)) << event.ShortDebugString();
      version = event.subject_version();
    }
  }
}

}  // namespace clm::chaos
