// The two ends of a stream as a handler sees them: blocking, with back-pressure, on a thread of the
// stream pool.
#ifndef CLM_LIBS_RPC_STREAM_H_
#define CLM_LIBS_RPC_STREAM_H_

#include "absl/status/status.h"

namespace clm::rpc {

// Sends messages to the caller. Used by one thread.
template <class Msg>
class Writer {
 public:
  virtual ~Writer() = default;
  // Waits until the previous message has left, then sends this one. False when the caller is gone,
  // the deadline has passed or the server is draining: the handler then returns.
  virtual bool Write(Msg message) = 0;
  // True while Write makes sense; for handlers that wait for something to write.
  virtual bool open() const = 0;
};

// Receives messages from the caller, each of them checked as a unary request is. Used by one
// thread.
template <class Msg>
class Reader {
 public:
  virtual ~Reader() = default;
  // Waits for the next message. False at the end of the stream, and after a failure: then status()
  // tells why, and the handler must not commit.
  virtual bool Read(Msg* message) = 0;
  virtual absl::Status status() const = 0;
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_STREAM_H_
