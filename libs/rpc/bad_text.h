// Names the text of a request that is not UTF-8.
#ifndef CLM_LIBS_RPC_BAD_TEXT_H_
#define CLM_LIBS_RPC_BAD_TEXT_H_

#include <google/protobuf/message.h>

#include <string>

namespace clm::rpc {

// The path of the first string within `message` that is not UTF-8, "answers[0].text"; empty when
// there is none. Of a message that protobuf has refused for it: what it has read so far is there,
// the text that it stopped at included.
std::string FindBadText(const google::protobuf::Message& message);

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_BAD_TEXT_H_
