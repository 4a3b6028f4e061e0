#pragma once
// The verbs of `trainyard-agent serve`, one function each: checks the request and makes what answers it. Errors name
// the member that is wrong.
#include "core/agent/ServeRequest.h"

namespace trainyard::agent {

using MadeRequest = Result<ServeRequestPtr>;

[[nodiscard]] MadeRequest serveHello(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveHave(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveUpload(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveFinishData(ServeContext& context, std::int64_t id, const Json& header,
                                          std::string payload);
[[nodiscard]] MadeRequest serveFinishEngine(ServeContext& context, std::int64_t id, const Json& header,
                                            std::string payload);
[[nodiscard]] MadeRequest serveFetch(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest servePut(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveStart(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveCommandVerb(ServeContext& context, std::int64_t id, const Json& header,
                                           std::string payload);
[[nodiscard]] MadeRequest serveLook(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveFollow(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveOutputs(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveDownload(ServeContext& context, std::int64_t id, const Json& header,
                                        std::string payload);
[[nodiscard]] MadeRequest serveRuns(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveRemove(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveExec(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveProbe(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveLoad(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveCache(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveClear(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveHash(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveListen(ServeContext& context, std::int64_t id, const Json& header, std::string payload);
[[nodiscard]] MadeRequest serveReach(ServeContext& context, std::int64_t id, const Json& header, std::string payload);

/// A request that is answered at once.
[[nodiscard]] ServeRequestPtr answered(ServeContext& context, std::int64_t id, Result<Json> answer);

}  // namespace trainyard::agent
