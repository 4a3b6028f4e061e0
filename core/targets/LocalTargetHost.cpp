// What LocalTarget asks of `trainyard-agent serve`, as any target that is made of hosts does.
#include <utility>

#include "core/targets/EngineBuild.h"
#include "core/targets/Host.h"
#include "core/targets/HostCalls.h"
#include "core/targets/LocalTarget.h"

namespace trainyard::targets {

Host& LocalTarget::host() {
    if (!m_host) {
        HostOptions options;
        options.target = m_name;
        options.workFolder = m_work.root.string();
        options.slotsFolder = m_options.slots.string();
        options.agent = findProgram("trainyard-agent", m_options.programs);
        m_host = std::make_unique<Host>(std::move(options));
    }
    return *m_host;
}

OperationPtr LocalTarget::doctor(Deadline deadline, std::function<void(DoctorLine)> onLine,
                                 Done<std::vector<DoctorLine>> done) {
    return doctorHost(host(), doctorNeeds(m_settings), deadline, std::move(onLine), std::move(done));
}

OperationPtr LocalTarget::load(Deadline deadline, Done<base::Json> done) {
    return loadOfHost(host(), deadline, [done = std::move(done)](const Result<base::Json>& one) {
        if (!one.ok()) {
            done(one.error());
            return;
        }
        done(base::Json{{"hosts", base::Json::array({*one})}});
    });
}

OperationPtr LocalTarget::listCache(Deadline deadline, Done<std::vector<CacheEntry>> done) {
    return cacheOfHost(host(), deadline, std::move(done));
}

OperationPtr LocalTarget::clearCache(std::vector<CacheEntry> entries, Deadline deadline, Done<std::int64_t> done) {
    return clearCacheOfHost(host(), std::move(entries), deadline, std::move(done));
}

OperationPtr LocalTarget::buildEngine(std::function<void(std::string line)> onLine, Done<base::Json> done) {
    EngineBuildOptions options;
    options.torch = m_settings.torch;
    options.python = m_settings.python;
    return targets::buildEngine(host(), std::move(options), std::move(onLine), std::move(done));
}

}  // namespace trainyard::targets
