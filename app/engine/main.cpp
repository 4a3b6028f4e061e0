// trainyard-engine VERB [--request FILE | --spec FILE]: trains, evaluates, inspects and exports. One process a rank.
#include <cstdio>
#include <string_view>
#include <vector>

#include "app/engine/Verbs.h"
#include "core/engine/Runtime.h"

int main(int argc, char** argv) {
    trainyard::engine::tuneAllocator();
    trainyard::engine::waitWithoutSpinning(argv);
    return trainyard::app::runEngine(std::vector<std::string_view>(argv + 1, argv + argc));
}
