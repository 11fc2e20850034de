// How requests and responses cross from gRPC into the bindings. A request that does not parse
// reaches the binding, marked, so that it gets a proper error (gRPC's own answer would be
// UNIMPLEMENTED).
#ifndef CLM_LIBS_RPC_MESSAGE_H_
#define CLM_LIBS_RPC_MESSAGE_H_

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/serialization_traits.h>
#include <grpcpp/support/byte_buffer.h>

#include "libs/rpc/unary_call.h"

namespace clm::rpc::internal {

// A request of a stream.
template <class Msg>
struct In {
  Msg message;
  bool malformed = false;
};

// The request of a unary call as it came: the call knows what to parse it as. gRPC's code for a
// unary method is made once for this type and not for each method: half the compilation of a
// service's bindings.
struct RawRequest {
  grpc::ByteBuffer bytes;
};

}  // namespace clm::rpc::internal

namespace grpc {

template <class Msg>
class SerializationTraits<clm::rpc::internal::In<Msg>> {
 public:
  static Status Deserialize(ByteBuffer* buffer, clm::rpc::internal::In<Msg>* in) {
    in->malformed = !SerializationTraits<Msg>::Deserialize(buffer, &in->message).ok();
    return Status::OK;
  }
};

template <>
class SerializationTraits<clm::rpc::internal::RawRequest> {
 public:
  static Status Deserialize(ByteBuffer* buffer, clm::rpc::internal::RawRequest* request) {
    request->bytes.Swap(buffer);
    return Status::OK;
  }
};

// The state of a call stands where gRPC keeps the response: it costs no allocation of its own.
template <>
class SerializationTraits<clm::rpc::internal::UnaryCall> {
 public:
  static Status Serialize(const clm::rpc::internal::UnaryCall& call, ByteBuffer* buffer,
                          bool* own_buffer) {
    return call.Serialize(buffer, own_buffer);
  }
};

}  // namespace grpc

#endif  // CLM_LIBS_RPC_MESSAGE_H_
