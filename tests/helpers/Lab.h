#pragma once
// Real hosts for tests: sshd, network, processes and files of their own, in namespaces that die with the test. Needs
// root, sshd, ssh, ip, nsenter, unshare, python3.
#include <QProcess>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "tests/helpers/Program.h"

namespace trainyard::test {

struct LabOptions {
    int hosts = 1;
    bool shared = false;    ///< All hosts have the same home folder.
    bool password = false;  ///< sshd takes the password ("open sesame") too.
};

/// Hosts node1, node2…, users "lab" (with home /home/lab) and "second" (same uid, without a valid key for its name to
/// be refused on demand). From up() on, TRAINYARD_SSH of this process is an ssh that reaches them, and XDG_RUNTIME_DIR
/// a short folder of the lab's.
class Lab {
public:
    /// Why no lab can be made here; empty when one can.
    [[nodiscard]] static std::string missing();

    explicit Lab(LabOptions options = {});
    ~Lab();
    /// False with error().
    [[nodiscard]] bool up();
    [[nodiscard]] const std::string& error() const { return m_error; }
    [[nodiscard]] const base::Path& folder() const { return m_folder; }
    /// A host's home folder as it lies here.
    [[nodiscard]] base::Path home(int host) const;
    /// Copies the engine into the host's home and says where it lies there: the hosts have a /tmp and a /var/tmp of
    /// their own, so one that was built below those is not to be seen. Empty when it cannot be copied.
    [[nodiscard]] std::string giveEngine(int host) const;
    /// The ssh that reaches the hosts, and its configuration.
    [[nodiscard]] base::Path ssh() const { return m_folder / "ssh"; }
    [[nodiscard]] base::Path sshConfig() const { return m_folder / "ssh_config"; }
    [[nodiscard]] base::Path knownHosts() const { return m_folder / "known_hosts"; }

    /// Pulls a host's cable; 0: the one of the machine that they are reached from, so that they still reach each other.
    bool cut(int host) { return order({{"do", "cut"}, {"host", host}}); }
    bool heal(int host) { return order({{"do", "heal"}, {"host", host}}); }
    bool crash(int host) { return order({{"do", "crash"}, {"host", host}}); }  ///< The power switch.
    bool boot(int host) { return order({{"do", "boot"}, {"host", host}}); }    ///< After crash(); with another boot id.
    bool rekey(int host) {
        return order({{"do", "rekey"}, {"host", host}});
    }  ///< Another host key from the next boot on.
    /// Until it is given other values.
    bool slow(int host, double delaySeconds, double loss) {
        return order({{"do", "slow"}, {"host", host}, {"delay", delaySeconds}, {"loss", loss}});
    }
    /// A program on a host, as root and in all its namespaces.
    ProgramResult run(int host, const std::vector<std::string>& argv);

private:
    bool order(const base::Json& order);
    base::Json ask(const base::Json& order);

    LabOptions m_options;
    base::Path m_folder;
    QProcess m_process;
    std::string m_error;
};

}  // namespace trainyard::test
