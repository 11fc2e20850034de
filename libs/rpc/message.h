// How requests and responses cross from gRPC into the bindings. A request that does not parse
// reaches the binding, marked, so that it gets a proper error (gRPC's own answer would be
// UNIMPLEMENTED). A response may be bytes that are serialized already. The state of a call lives
// with its response, so that a call costs no allocation of its own.
#ifndef CLM_LIBS_RPC_MESSAGE_H_
#define CLM_LIBS_RPC_MESSAGE_H_

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/serialization_traits.h>
#include <grpcpp/support/byte_buffer.h>

#include "libs/rpc/unary_call.h"

namespace clm::rpc::internal {

template <class Msg>
struct In {
  Msg message;
  bool malformed = false;
};

template <class Msg>
struct Out {
  Msg message;
  UnaryCall call;
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

template <class Msg>
class SerializationTraits<clm::rpc::internal::Out<Msg>> {
 public:
  static Status Serialize(const clm::rpc::internal::Out<Msg>& out, ByteBuffer* buffer,
                          bool* own_buffer) {
    if (out.call.bytes() == nullptr) {
      return SerializationTraits<Msg>::Serialize(out.message, buffer, own_buffer);
    }
    *buffer = *out.call.bytes();
    *own_buffer = true;
    return Status::OK;
  }
};

}  // namespace grpc

#endif  // CLM_LIBS_RPC_MESSAGE_H_
