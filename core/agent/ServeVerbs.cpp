#include "core/agent/ServeVerbs.h"

#include <array>
#include <string_view>

#include "core/agent/Serve.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

class AnsweredRequest final : public ServeRequest {
public:
    AnsweredRequest(ServeContext& context, std::int64_t id, Result<Json> answer) : ServeRequest(context, id) {
        if (answer.ok()) {
            done(std::move(answer).value());
        } else {
            fail(answer.error());
        }
    }
};

struct Verb {
    std::string_view name;
    MadeRequest (*make)(ServeContext&, std::int64_t, const Json&, std::string);
};

constexpr std::array kVerbs{
    Verb{"hello", &serveHello},
    Verb{"have", &serveHave},
    Verb{"upload", &serveUpload},
    Verb{"finish_data", &serveFinishData},
    Verb{"finish_engine", &serveFinishEngine},
    Verb{"fetch", &serveFetch},
    Verb{"put", &servePut},
    Verb{"start", &serveStart},
    Verb{"command", &serveCommandVerb},
    Verb{"look", &serveLook},
    Verb{"follow", &serveFollow},
    Verb{"outputs", &serveOutputs},
    Verb{"download", &serveDownload},
    Verb{"runs", &serveRuns},
    Verb{"remove", &serveRemove},
    Verb{"exec", &serveExec},
    Verb{"probe", &serveProbe},
    Verb{"load", &serveLoad},
    Verb{"cache", &serveCache},
    Verb{"clear", &serveClear},
    Verb{"hash", &serveHash},
    Verb{"listen", &serveListen},
    Verb{"reach", &serveReach},
};

}  // namespace

ServeRequestPtr answered(ServeContext& context, std::int64_t id, Result<Json> answer) {
    return std::make_unique<AnsweredRequest>(context, id, std::move(answer));
}

Result<ServeRequestPtr> makeServeRequest(ServeContext& context, std::int64_t id, const Json& header,
                                         std::string payload) {
    base::ObjectReader reader(header, "");
    const std::string name = reader.string("verb");
    for (const Verb& verb : kVerbs) {
        if (verb.name == name) return verb.make(context, id, header, std::move(payload));
    }
    return Error{"serve.verb",
                 "This agent (version " TRAINYARD_VERSION ") does not know the request \"" +
                     base::stripControl(name.substr(0, 40)) + "\".",
                 "verb"};
}

}  // namespace trainyard::agent
