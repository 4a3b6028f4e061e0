#include "core/engine/Guard.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string_view>

namespace trainyard::engine {

namespace {

std::string firstLine(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

Error fromText(const std::string& doing, std::string_view text, const char* fallbackCode) {
    const auto has = [text](std::string_view part) { return text.find(part) != std::string_view::npos; };
    if (has("out of memory") || has("can't allocate memory") || has("bad_alloc")) {
        return {"engine.memory", "Memory ran out while " + doing +
                                     ". Take a smaller batch or model, or fewer processes. (" + firstLine(text) + ")"};
    }
    if (has("No space left on device") || has("file write failed")) {
        return {"engine.disk", "Writing failed while " + doing + ": " + firstLine(text) + ". Is the disk full?"};
    }
    return {fallbackCode, "Failed while " + doing + ": " + firstLine(text)};
}

}  // namespace

Error errorInFlight(const std::string& doing) {
    try {
        throw;
    } catch (const Failed& failed) {
        return failed.error();
    } catch (const std::bad_alloc&) {
        return fromText(doing, "bad_alloc", "engine.memory");
    } catch (const c10::Error& error) {
        return fromText(doing, error.what_without_backtrace(), "engine.torch");
    } catch (const std::exception& error) {
        return fromText(doing, error.what(), "engine.failed");
    } catch (...) {
        return {"engine.failed", "Failed while " + doing + " for an unknown reason."};
    }
}

}  // namespace trainyard::engine
