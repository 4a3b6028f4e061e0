#pragma once
// `trainyard-agent serve [--work FOLDER] [--slots FOLDER]`: answers one client over standard input and output. One
// thread, one loop; ends with its input, after a silence, when its output breaks, or by SIGTERM. What it started for
// runs goes on.
#include <map>
#include <string>

#include "core/agent/ServeRequest.h"
#include "core/wire/Serve.h"

namespace trainyard::agent {

struct ServeOptions {
    Path work;  ///< Absolute.
    Path slots = wire::kSharedSlots;
    std::int64_t silenceMillis =
        wire::kServeSilenceSeconds * 1000;  ///< Ends after so long without a byte from the client.
};

class Serve final : public ServeOut {
public:
    explicit Serve(ServeOptions options);
    ~Serve() override;
    /// The program's exit status.
    [[nodiscard]] int run();

    void send(Json header, std::string_view payload) override;
    [[nodiscard]] bool roomy() const override;

private:
    [[nodiscard]] bool turn();
    [[nodiscard]] bool readInput();
    [[nodiscard]] bool flush();
    void take(wire::ServeFrame frame);
    void begin(std::int64_t id, const Json& header, std::string payload);
    void refuse(std::int64_t id, const Error& error);

    ServeOptions m_options;
    ServeContext m_context;
    base::UniqueFd m_signals;
    wire::ServeDecoder m_decoder{false};
    std::string m_input;  ///< Room to read into.
    std::string m_output;
    std::size_t m_sent = 0;
    std::int64_t m_lastHeard = 0;  ///< Monotonic ns.
    std::map<std::int64_t, ServeRequestPtr> m_requests;
};

/// Makes the request for a verb. Errors: "serve.verb", and what is wrong with its members.
[[nodiscard]] Result<ServeRequestPtr> makeServeRequest(ServeContext& context, std::int64_t id, const Json& header,
                                                       std::string payload);

/// The command line of `serve`; its exit status.
[[nodiscard]] int serveCommand(const std::vector<std::string>& arguments);

}  // namespace trainyard::agent
