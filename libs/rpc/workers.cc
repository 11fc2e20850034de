#include "libs/rpc/workers.h"

#include <pthread.h>

#include <utility>

namespace clm::rpc {

Workers::Workers(const std::string& name, int threads, int queue)
    : thread_count_(threads), queue_limit_(queue) {
  threads_.reserve(threads);
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Loop(); });
    pthread_setname_np(threads_.back().native_handle(), name.substr(0, 15).c_str());
  }
}

Workers::~Workers() { Stop(); }

bool Workers::Post(Task task) {
  absl::MutexLock lock(&mu_);
  const int idle = thread_count_ - busy_;
  if (stopping_ || static_cast<int>(queue_.size()) >= queue_limit_ + idle) return false;
  queue_.push_back(std::move(task));
  return true;
}

void Workers::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  absl::MutexLock lock(&join_mu_);
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

Workers::Stats Workers::stats() const {
  absl::MutexLock lock(&mu_);
  return {busy_, static_cast<int>(queue_.size()), taken_};
}

void Workers::Loop() {
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopping_ || !queue_.empty();
  };
  mu_.Lock();
  while (true) {
    mu_.Await(absl::Condition(&ready));
    if (queue_.empty()) break;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    ++busy_;
    ++taken_;
    mu_.Unlock();
    std::move(task)();
    task = nullptr;
    mu_.Lock();
    --busy_;
  }
  mu_.Unlock();
}

}  // namespace clm::rpc
