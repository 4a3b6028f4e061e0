// Calls everything that the C++ client has.
#include <cmath>
#include "trainyard.h"
int main() {
    trainyard::Client run;
    run.metric("loss", 0.1, 3);
    run.metric("loss", NAN);
    run.metrics({{"a", 1}, {"b\"", 2}}, 4);
    run.param("lr", 0.5);
    run.param("name", "x\\y");
    run.tag("t", "v");
    run.text("n", "two\nlines");
    run.progress("train", 1, 2, "epochs");
    run.image("i", "\x89PNGx");
    run.table("t", {"c"}, std::vector<std::vector<double>>{{1}});
    run.confusionMatrix("m", {"a", "b"}, {{1, 2}, {3, 4}});
    run.histogram("h", {1}, {0, 1});
    run.artifact("a.txt");
    run.model("net", "a.txt");
    run.conclusion("done");
    return run.active() && run.dropped() == 0 ? 0 : 1;
}
