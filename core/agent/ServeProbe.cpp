#include "core/agent/Doctor.h"
#include "core/agent/ServeVerbs.h"
#include "core/base/Clock.h"

namespace trainyard::agent {

MadeRequest serveProbe(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    DoctorQuestion question;
    question.work = context.work.root;
    question.slots = arguments.reader().string("slots", context.slots.string());
    question.python = arguments.reader().string("python", question.python);
    question.clientTime = arguments.reader().integer("t", 0);
    question.askedAt = base::wallMicros();
    for (const std::string& name : arguments.reader().strings("names")) question.names.insert(name);
    for (const std::string& name : arguments.reader().strings("need")) question.need.insert(name);
    for (const Json& item : arguments.reader().array("peers")) {
        base::ObjectReader peer(item, "peers");
        question.peers.emplace_back(peer.string("host"), peer.string("address"));
        arguments.reader().merge(peer);
    }
    if (question.python.empty() || question.python.find('\0') != std::string::npos) {
        arguments.reader().fail("serve.python", "python", "\"python\" names no program.");
    }
    TRAINYARD_TRY(arguments.status());
    return ServeRequestPtr(std::make_unique<ServeWorker>(context, id, [&](const ServeWorker::Say& say) -> Result<Json> {
        runDoctor(question, [&say](const DoctorLine& line) {
            Json event = Json::object();
            event["event"] = "line";
            event["line"] = toJson(line);
            return say(event);
        });
        return Json::object();
    }));
}

}  // namespace trainyard::agent
