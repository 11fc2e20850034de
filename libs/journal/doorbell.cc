#include "libs/journal/doorbell.h"

namespace clm::journal {

Doorbell::Doorbell(redis::Client* redis, const std::string& source, Heads* heads)
    : redis_(redis), channel_("feed:" + source), heads_(heads) {
  if (redis_ == nullptr) return;
  redis::Listener listener;
  listener.on_message = [heads](const redis::Message& message) {
    heads->Raise(ParseOffsets(message.payload));
  };
  subscription_ = redis_->Subscribe({channel_}, std::move(listener));
}

void Doorbell::Ring(const Offsets& offsets) {
  heads_->Raise(offsets);
  if (redis_ != nullptr) redis_->PublishAsync(channel_, FormatOffsets(offsets));
}

}  // namespace clm::journal
